"""Really running Bentos that not everybody may ask, and one that keeps its answers."""

import os
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fdpipe import bento, open_inference
from fdpipe.access import CERTIFICATE, EVERYONE, KEY, KEYS_FILE, Access
from fdpipe.deployer.local import Local, stop_service
from fdpipe.serving import keys, shared, tls
from fdpipe.serving.figures import EVERY_S
from fdpipe.serving.keys import OPEN, Keys
from fdpipe.serving.refusal import Refusal
from fdpipe.store import LocalStore
from tests.serving import tiny
from tests.serving.certificates import Authority
from tests.serving.conftest import Served
from tests.serving.redis_server import RedisServer, is_installed, redis_server
from tests.tiny.release import free_triple, proof_of

SECRET = "a-long-enough-key"
BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}
PATH = "/v2/models/digits/infer"
BEARER = {"Authorization": f"Bearer {SECRET}"}
READY_S = 60.0


@dataclass
class Asker:
    """Of a running service."""

    port: int
    access: Access
    log: Path
    redis: RedisServer | None = None

    def url(self, path: str, offset: int = 0) -> str:
        return bento.url("127.0.0.1", self.port + offset, self.access.scheme) + path

    def metrics(self, **how: object) -> dict[str, float]:
        text = httpx.get(self.url("/metrics"), headers=BEARER, **how).text  # type: ignore[arg-type]
        lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith("fdpipe_"))
        return {name: float(figure) for name, _, figure in lines}


@contextmanager
def running(release: Path, folder: Path, access: Access = EVERYONE) -> Iterator[Asker]:
    """By the code that deploys, and gone afterwards."""
    launch = bento.Launch(
        service="digits-cpu", bento=release, host="127.0.0.1", port=free_triple(), home=folder, scratch=folder / "scratch",
        log=folder / "log", access=access,
    )  # fmt: skip
    started = bento.start(launch)
    try:
        started.wait_ready(READY_S)
        yield Asker(launch.port, access, launch.log)
    finally:
        started.stop(drain_s=10)


def infer(channel: grpc.Channel, *metadata: tuple[str, str]) -> object:
    request, reply = open_inference.message("ModelInferRequest"), open_inference.message("ModelInferResponse")
    method = channel.unary_unary(f"/{open_inference.SERVICE}/ModelInfer", lambda one: one.SerializeToString(), reply.FromString)
    inputs = [{"name": "x", "datatype": "FP32", "shape": [1, 4], "contents": {"fp32_contents": [1, 2, 3, 4]}}]
    return method(request(model_name="digits", inputs=inputs), timeout=10, metadata=metadata)


def code_of(error: grpc.RpcError) -> grpc.StatusCode:
    found: grpc.StatusCode = error.code()
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("access")


@pytest.fixture(scope="module")
def kept(folder: Path) -> Iterator[Asker]:
    """A service with keys that keeps its answers, in Redis too where there is one."""
    pieces = tiny.digits(folder / "made")
    order = replace(pieces.order, sizes=replace(pieces.order.sizes, cache_mib=8.0))
    release = replace(pieces, order=order).packaged(LocalStore(folder / "store"))
    (folder / "keys").write_text(f"# the team's\n\n{SECRET}\nanother-key-of-somebody\n")
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server()) if is_installed() else None
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(shared.URL, redis.url if redis else "")
            patch.setenv(CERTIFICATE, "not for this one")
            access = Access(keys_file=str(folder / "keys"))
            asker = stack.enter_context(running(release.path, folder / "kept", access))
        asker.redis = redis
        yield asker


def test_without_a_key_only_health_answers(kept: Asker) -> None:
    asker = kept
    for path in sorted(OPEN):
        for offset in (0, 1):
            if path.startswith("/v2") or offset == 0:
                assert httpx.get(asker.url(path, offset)).status_code == 200, path
    for path in ("/", "/metrics", "/docs.json", "/schema.json", "/v2", "/v2/models/digits", "/nothing"):
        for offset in (0, 1):
            reply = httpx.get(asker.url(path, offset))
            assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer"), path
            assert "no API key came" in reply.json()["error"]
    for path, offset in ((PATH, 0), (PATH, 1), ("/predict", 0), ("/v1/models/digits:predict", 1), ("/invocations", 1)):
        reply = httpx.post(asker.url(path, offset), json=BODY, headers={"Authorization": f"Bearer {SECRET}x"})
        assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer"), path
        assert "the API key is not known" in reply.text
    assert httpx.post(asker.url(PATH, 1), json=BODY, headers={"Authorization": f"Basic {SECRET}"}).status_code == 401


def test_with_a_key_everything_answers(kept: Asker) -> None:
    asker = kept
    ways = (BEARER, {"authorization": f"bearer {SECRET}"}, {"X-Api-Key": "another-key-of-somebody"})
    for headers in ways:
        for offset in (0, 1):
            assert httpx.post(asker.url(PATH, offset), json=BODY, headers=headers).status_code == 200
    assert httpx.get(asker.url("/docs.json"), headers=BEARER).status_code == 200
    assert asker.metrics()['fdpipe_errors_total{kind="no_key"}'] > 0
    assert SECRET not in asker.log.read_text()


def test_keys_over_grpc(kept: Asker) -> None:
    asker = kept
    with grpc.insecure_channel(f"127.0.0.1:{asker.port + 2}") as channel:
        infer(channel, ("authorization", f"Bearer {SECRET}"))
        infer(channel, ("x-api-key", SECRET))
        for metadata in ((), (("authorization", "Bearer wrong-wrong-wrong"),)):
            with pytest.raises(grpc.RpcError) as refused:
                infer(channel, *metadata)
            assert code_of(refused.value) is grpc.StatusCode.UNAUTHENTICATED
        served = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert served.status == health_pb2.HealthCheckResponse.SERVING
        for method in ("ServerLive", "ServerReady", "ServerMetadata"):
            plain = channel.unary_unary(f"/{open_inference.SERVICE}/{method}")
            if method == "ServerMetadata":
                with pytest.raises(grpc.RpcError):
                    plain(b"", timeout=10)
            else:
                assert plain(b"", timeout=10) == b"\x08\x01"


def test_answers_are_kept_whatever_protocol_asks_and_redis_may_die(kept: Asker) -> None:
    asker = kept

    def asked(row: list[float], **headers: str) -> tuple[str, list[float]]:
        time.sleep(2 * EVERY_S)  # monitors are told so often
        before = asker.metrics()
        body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": row}]}
        reply = httpx.post(asker.url(PATH, 1), json=body, headers=BEARER | headers)
        while (after := asker.metrics()).get(counted, 0) == before.get(counted, 0):
            time.sleep(0.02)
        grown = [name for name in after if name.startswith("fdpipe_cache") and after[name] > before.get(name, 0)]
        return ",".join(grown), reply.json()["outputs"][1]["data"]

    counted = 'fdpipe_requests_total{protocol="oip_rest",status="2xx"}'

    def outcome(name: str) -> str:
        return f'fdpipe_cache_requests_total{{outcome="{name}"}}'

    found = [asked([5, 6, 7, 8]) for _ in range(2)]
    assert [one[0] for one in found] == [outcome("miss"), outcome("hit")]
    assert found[0][1] == found[1][1]
    httpx.post(asker.url("/predict"), json={"inputs": {"x": [[9, 9, 9, 9]]}}, headers=BEARER).raise_for_status()
    assert asked([9, 9, 9, 9])[0] == outcome("hit")
    assert asked([5, 6, 7, 8], **{"Cache-Control": "no-cache"}) == ("", found[0][1])
    if asker.redis is None:
        pytest.skip("redis-server is not installed")
    asker.redis.kill()
    assert [asked([0, 0, 0, float(number)])[0] for number in range(shared.FAILURES + 1)] == [outcome("miss")] * (
        shared.FAILURES + 1
    )
    assert asker.metrics()['fdpipe_breaker_open{name="cache"}'] == 1
    assert asked([5, 6, 7, 8]) == (outcome("hit"), found[0][1])
    assert "Traceback" not in asker.log.read_text()


def test_over_tls_with_certificates_on_both_sides(digits: Served, folder: Path) -> None:
    own, callers = Authority(folder, "authority"), Authority(folder, "callers-authority")
    (certificate, key), caller = own.sign("service"), callers.sign("caller")
    stranger = own.sign("stranger")
    access = Access(certificate=str(certificate), key=str(key), client_ca=str(callers.path))
    with running(digits.release.path, folder / "mutual", access) as asker:
        known = ssl.create_default_context(cafile=str(own.path))
        known.load_cert_chain(*caller)
        for path, offset in ((PATH, 0), (PATH, 1), ("/invocations", 1)):
            body = BODY if path == PATH else {"inputs": {"x": [[1, 2, 3, 4]]}}
            assert httpx.post(asker.url(path, offset), json=body, verify=known).status_code == 200
        for pair in (None, stranger):
            unknown = ssl.create_default_context(cafile=str(own.path))
            if pair:
                unknown.load_cert_chain(*pair)
            for offset in (0, 1):
                with pytest.raises(httpx.TransportError):
                    httpx.get(asker.url("/v2/health/live", offset), verify=unknown)
        for offset in (0, 1):
            with pytest.raises(httpx.TransportError):
                httpx.get(asker.url("/v2/health/live", offset).replace("https", "http"))
        trusted = own.path.read_bytes()
        pairs = {None: False, caller: True, stranger: False}
        for one, let_in in pairs.items():
            private, chain = (one[1].read_bytes(), one[0].read_bytes()) if one else (None, None)
            credentials = grpc.ssl_channel_credentials(trusted, private, chain)
            with grpc.secure_channel(f"127.0.0.1:{asker.port + 2}", credentials) as channel:
                if let_in:
                    infer(channel)
                else:
                    with pytest.raises(grpc.RpcError) as refused:
                        infer(channel)
                    assert code_of(refused.value) is grpc.StatusCode.UNAVAILABLE


def test_deployed_with_tls_and_keys(digits: Served, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is seen as ready, answers golden requests, and is left alone while nothing changes."""
    home = folder / "home"
    release = digits.pieces.packaged(LocalStore(home / "store"))
    monkeypatch.setenv("FDPIPE_HOME", str(home))
    certificate, key = (str(path) for path in Authority(folder, "deployers").sign("deployed"))
    keys_file = folder / "deployed-keys"
    keys_file.write_text(SECRET)
    local = Local(keys_file=str(keys_file), certificate=certificate, key=key)
    port = free_triple()
    try:
        deployed = local.deploy(release, proof_of(release), "127.0.0.1", port)
        assert (deployed.url, deployed.changed) == (f"https://127.0.0.1:{port}", True)
        assert not local.deploy(release, proof_of(release), "127.0.0.1", port).changed
        known = ssl.create_default_context(cafile=str(folder / "deployers.pem"))
        for offset in (0, 1):
            url = f"https://127.0.0.1:{port + offset}{PATH}"
            assert httpx.post(url, json=BODY, verify=known, headers=BEARER).status_code == 200
            assert httpx.post(url, json=BODY, verify=known).status_code == 401
        credentials = grpc.ssl_channel_credentials((folder / "deployers.pem").read_bytes())
        with grpc.secure_channel(f"127.0.0.1:{port + 2}", credentials) as channel:
            infer(channel, ("authorization", f"Bearer {SECRET}"))
    finally:
        stop_service(home, release.service)
    assert bento.leftovers(home, release.service) == []


def test_the_own_certificate_alone_is_taken(tmp_path: Path) -> None:
    """And none that the authority in the same file has signed too."""
    authority = Authority(tmp_path, "between")
    own, other = authority.sign("own"), authority.sign("other")
    chain = tmp_path / "chain.pem"
    chain.write_bytes(own[0].read_bytes() + authority.path.read_bytes())
    for certificate in (own[0], chain):
        context = Access(certificate=str(certificate), key=str(own[1])).own_context()
        assert context is not None
        shaken_hands(context, own)
        with pytest.raises(ssl.SSLCertVerificationError):
            shaken_hands(context, other)
    with pytest.raises(ssl.SSLError, match="has no certificate"):
        Access(certificate=str(own[1]), key=str(own[1])).own_context()


def shaken_hands(context: ssl.SSLContext, pair: tuple[Path, Path]) -> None:
    """With a server that has this certificate, in memory."""
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(*pair)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    waiting = [context.wrap_bio(back, there), served.wrap_bio(there, back, server_side=True)]
    while waiting:
        for one in list(waiting):
            try:
                one.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(one)


def test_what_belongs_together() -> None:
    for access in ({"certificate": "c"}, {"key": "k"}, {"client_ca": "a"}):
        with pytest.raises(ValueError, match="certificate and key"):
            Local(**access)  # type: ignore[arg-type]


def test_a_key_is_told_from_others() -> None:
    found = Keys([b"k" * 16, b"l" * 20])
    found.require(b"Bearer " + b"k" * 16, None)
    found.require(None, b"l" * 20)
    for authorization, api_key in ((None, None), (b"Bearer ", None), (b"k" * 16, None), (None, b"k" * 15), (None, b"")):
        with pytest.raises(Refusal) as refused:
            found.require(authorization, api_key)
        assert (refused.value.status, refused.value.kind) == (401, "no_key")


@pytest.mark.parametrize("text", ["", "# nobody\n\n", "short\n", f"{SECRET}\nshort\n", None])
def test_a_file_of_keys_that_is_no_use(text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys"
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv(KEYS_FILE, str(path))
    with pytest.raises(SystemExit, match=r"^fdpipe: FDPIPE_SERVICE_KEYS_FILE names .*; write one key of 16 or more"):
        keys.from_environment()
    monkeypatch.setenv(KEYS_FILE, "")
    assert keys.from_environment() is None


def test_files_of_tls_that_are_no_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, path in Access().environment().items():
        monkeypatch.setenv(name, path)
    assert tls.from_environment() is None
    monkeypatch.setenv(CERTIFICATE, str(tmp_path / "nothing.pem"))
    with pytest.raises(SystemExit, match=r"^fdpipe: TLS needs both"):
        tls.from_environment()
    monkeypatch.setenv(KEY, os.devnull)
    with pytest.raises(SystemExit, match=r"^fdpipe: FDPIPE_SERVICE_CERTIFICATE names .*nothing\.pem, which cannot be read"):
        tls.from_environment()
