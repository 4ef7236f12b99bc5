#!/bin/sh
# Debian: apt-get install default-jdk-headless libgrpc-java libnetty-java libperfmark-java libprotobuf-java protobuf-compiler protobuf-compiler-grpc-java-plugin
# sh build.sh FOLDER_OF_THE_PROTO TARGET, then: java -cp "TARGET:$(cat TARGET/classpath)" GrpcClient HOST PORT
set -eu
here=$(dirname "$0")
mkdir -p "$2/made"
protoc -I "$1" --java_out="$2/made" --grpc-java_out="$2/made" --plugin=protoc-gen-grpc-java=/usr/bin/grpc_java_plugin open_inference.proto
ls /usr/share/java/*.jar | grep -E '/(grpc-|protobuf|guava|failureaccess|perfmark-|netty-|opencensus-|annotations-api|javax\.annotation|geronimo-annotation|jsr305|error_prone)' | tr '\n' ':' > "$2/classpath"
javac -nowarn -d "$2" -cp "$(cat "$2/classpath")" "$2"/made/inference/*.java "$here/GrpcClient.java" "$here/RestClient.java"
