"""The stages: verbs, which decide when. A stage never names an engine; workers know how."""
