"""The Kubernetes API as the cluster's commands use it: lists, access reviews, and a command run in a pod.

Belongs here: the only import of `kubernetes` (1 s and 47 MB, so this module is imported when a command needs it, and never by
the daemon), the user's kubeconfig, errors as sentences that say what to do. Does not belong here: what answers mean.

A daemon shows its state on loopback of its node only, because it names pods. It is asked by `exec` in its own container: that
goes through the API server and the kubelet with the user's rights and opens nothing that was not open. The proxy to a pod's
port would need that state on a port which everyone in the cluster reaches, and a port-forward a kubelet with `socat` or a runtime
that enters the node's own network for us.
"""

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import urllib3
from kubernetes import client, config
from kubernetes.stream import stream

# The client raises it as it is.
from urllib3.exceptions import HTTPError

from netra_node.cli.cluster_terms import ClusterError, ConfigurationError, Right, Said
from netra_node.cli.http_failures import no_answer, words

#: As kubectl does, so that thousands of pods are not one answer.
_PAGE: Final = 500
#: Seconds to connect, and between two pieces of an answer.
_PATIENCE: Final = (5.0, 30.0)
#: Kubernetes sets it in each pod.
_IN_CLUSTER: Final = "KUBERNETES_SERVICE_HOST"
_STDOUT, _STDERR, _OUTCOME = 1, 2, 3  # channels of v4.channel.k8s.io
_MENDS: Final[Mapping[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "log in again, or choose another --context",
    HTTPStatus.FORBIDDEN: "ask who runs the cluster for that right, or choose another --context",
    HTTPStatus.TOO_MANY_REQUESTS: "it is too busy: try again",
}
#: From 1.35 on a WebSocket takes `create`, as kubectl's exec always did; before, `get`.
_EXEC_MENDS: Final[Mapping[int, str]] = {
    **_MENDS,
    HTTPStatus.FORBIDDEN: "exec takes the verbs get and create on pods/exec: ask who runs the cluster for them",
}


class Cluster:
    """One cluster, with the user's rights. Its methods raise ClusterError, and may be called from any thread."""

    def __init__(
        self,
        configuration: client.Configuration,
        context: str | None,
        patience: tuple[float, float],
    ) -> None:
        """`context` is None inside a pod, where there is no choice."""
        self._configuration = configuration
        self._patience = patience
        self.context = context

    @property
    def server(self) -> str:
        """Where the API server is."""
        return str(self._configuration.host)

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"context {self.context}" if self.context else f"the cluster of {self.server}"

    def version(self) -> str:
        """Return the API server's version."""
        with self._api() as api:
            answer = self._asked(client.VersionApi(api).get_code)
        return str(answer.get("gitVersion", "unknown"))

    def daemon_sets(self, namespace: str, labels: str) -> list[dict[str, Any]]:
        """Return those with these labels."""
        with self._api() as api:
            listing = client.AppsV1Api(api).list_namespaced_daemon_set
            return list(self._listed(listing, namespace=namespace, label_selector=labels))

    def pods(self, namespace: str, labels: str) -> list[dict[str, Any]]:
        """Return those with these labels."""
        with self._api() as api:
            listing = client.CoreV1Api(api).list_namespaced_pod
            return list(self._listed(listing, namespace=namespace, label_selector=labels))

    def nodes(self) -> list[dict[str, Any]]:
        """Return all."""
        with self._api() as api:
            return list(self._listed(client.CoreV1Api(api).list_node))

    def i_may(self, right: Right) -> bool:
        """Tell whether the user has `right`."""
        body = {"spec": {"resourceAttributes": _attributes(right)}}
        with self._api() as api:
            create = client.AuthorizationV1Api(api).create_self_subject_access_review
            return _allowed(self._asked(create, body=body))

    def may(self, user: str, groups: list[str], right: Right) -> bool:
        """Tell whether somebody else has `right`."""
        spec = {"user": user, "groups": groups, "resourceAttributes": _attributes(right)}
        with self._api() as api:
            create = client.AuthorizationV1Api(api).create_subject_access_review
            return _allowed(self._asked(create, body={"spec": spec}))

    def run(self, namespace: str, pod: str, container: str, command: list[str]) -> Said:
        """Run `command` in a container and wait until it ends, however long: the library bounds none of it."""
        with self._exec(namespace, pod, container, command) as socket:
            try:
                socket.run_forever()
                channels = (socket.read_channel(number) for number in (_STDOUT, _STDERR, _OUTCOME))
                out, err, outcome = map(_text, channels)
            except Exception as error:  # websocket-client's, ssl's and the library's own
                message = f"the connection to it broke: {words(error)}"
                raise ClusterError(message) from error
        return Said(out, err, _failure(outcome))

    @contextlib.contextmanager
    def _exec(self, namespace: str, pod: str, container: str, command: list[str]) -> Iterator[Any]:
        # The library exchanges a method of the ApiClient during the call, so no two threads may share one.
        with self._api() as api:
            try:
                socket = stream(
                    client.CoreV1Api(api).connect_get_namespaced_pod_exec,
                    pod,
                    namespace,
                    container=container,
                    command=command,
                    stdout=True,
                    stderr=True,
                    binary=True,
                    _preload_content=False,
                )
            except client.ApiException as error:
                raise ClusterError(self._refused_exec(error)) from error
            try:
                yield socket
            finally:
                # its own close() leaves the socket open where the other side said goodbye first
                socket.sock.shutdown()

    @contextlib.contextmanager
    def _api(self) -> Iterator[client.ApiClient]:
        api = client.ApiClient(self._configuration)
        try:
            yield api
        finally:
            # not every version of its own close() does that
            api.rest_client.pool_manager.clear()

    def _listed(self, listing: Callable[..., Any], **selected: Any) -> Iterator[dict[str, Any]]:
        following: dict[str, Any] = {}
        while True:
            page = self._asked(listing, limit=_PAGE, **selected, **following)
            yield from page.get("items") or ()
            if not (token := (page.get("metadata") or {}).get("continue")):
                return
            following = {"_continue": token}

    def _asked(self, call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
        """Call and return the answer's document, unread by the library's models: other versions' answers are welcome."""
        try:
            answer = call(**arguments, _preload_content=False, _request_timeout=self._patience)
            found = json.loads(answer.data)
            if not isinstance(found, dict):
                raise ValueError(found)  # noqa: TRY004, TRY301 - one message for all that is not the API
        except client.ApiException as error:
            raise ClusterError(self._refused(error)) from error
        except HTTPError as error:
            raise ClusterError(self._unreachable(error)) from error
        except ValueError as error:
            message = f"what answers at {self.server} is not a Kubernetes API server; is the kubeconfig's `server` right?"
            raise ClusterError(message) from error
        return found

    def _refused(self, error: client.ApiException) -> str:
        if not error.status:
            return f"the API server at {self.server} cannot be asked: {error.reason}"
        return _refusal(error.status, _message(error.body) or str(error.reason), _MENDS)

    def _refused_exec(self, error: client.ApiException) -> str:
        """Say why no command can be run. The library keeps the API server's answer only as the cause of its error."""
        cause = error.__context__
        code = getattr(cause, "status_code", None)
        if code is None:
            return f"its pod cannot be reached: {words(cause or error)}"
        body = getattr(cause, "resp_body", None)
        return _refusal(code, _message(body) or f"status {code}", _EXEC_MENDS)

    def _unreachable(self, error: HTTPError) -> str:
        return f"the API server at {self.server} {no_answer(error)}; does `kubectl get nodes` work?"


def connect(
    kubeconfig: str | None,
    context: str | None,
    environ: Mapping[str, str],
    patience: tuple[float, float] = _PATIENCE,
) -> Cluster:
    """Find the cluster as kubectl does: the file named, else KUBECONFIG, else ~/.kube/config, else this pod's. Raises ConfigurationError."""
    # It warns of each connection it will retry, and of each that the kubeconfig wants unverified.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    urllib3.disable_warnings()
    configuration = client.Configuration()
    files = _files(kubeconfig, environ)
    used: str | None = None
    if any(path.is_file() for path in files):
        used = _load_files(configuration, files, context)
    elif kubeconfig or context or _IN_CLUSTER not in environ:
        message = f"there is no {_named(files)}, which says where the cluster is; name one with --kubeconfig or KUBECONFIG"
        raise ConfigurationError(message)
    else:
        _load_pods(configuration)
    # A busy server says when to come again; what cannot be reached is said at once.
    configuration.retries = urllib3.Retry(3, connect=0, read=0, redirect=0, raise_on_status=False)
    return Cluster(configuration, used, patience)


def _files(kubeconfig: str | None, environ: Mapping[str, str]) -> list[Path]:
    if kubeconfig:
        return [Path(kubeconfig)]
    if named := environ.get("KUBECONFIG"):
        return [Path(path) for path in named.split(os.pathsep) if path]
    # As kubectl takes it: a container's user need not have a home otherwise.
    return [Path(environ.get("HOME") or "~", ".kube", "config")]


def _named(files: Sequence[Path]) -> str:
    return f"kubeconfig {os.pathsep.join(map(str, files))}"


def _load_files(
    configuration: client.Configuration, files: Sequence[Path], context: str | None
) -> str:
    """Fill in the configuration and return the context in use."""
    joined = os.pathsep.join(map(str, files))
    try:
        contexts, current = config.list_kube_config_contexts(joined)  # type: ignore[no-untyped-call]
        used = _chosen([str(one["name"]) for one in contexts], str(current["name"]), context)
        # It keeps in the file what a login gives it, as kubectl does.
        config.load_kube_config(joined, used, client_configuration=configuration)  # type: ignore[no-untyped-call]
    except ConfigurationError:
        raise
    except Exception as error:  # whatever its parsers trip over
        message = f"{_named(files)} cannot be used: {words(error)}; `kubectl config view` shows what kubectl makes of it"
        raise ConfigurationError(message) from error
    return used


def _chosen(names: Sequence[str], current: str, wanted: str | None) -> str:
    if wanted and wanted not in names:
        message = f"no context {wanted!r} in the kubeconfig; it has {', '.join(names)}"
        raise ConfigurationError(message)
    return wanted or current


def _load_pods(configuration: client.Configuration) -> None:
    """Take what Kubernetes gives a pod."""
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except config.ConfigException as error:
        message = f"this pod's account cannot be used: {error}; is automountServiceAccountToken on?"
        raise ConfigurationError(message) from error


def _attributes(right: Right) -> dict[str, str]:
    found = {
        "verb": right.verb,
        "resource": right.resource,
        "subresource": right.subresource,
        "namespace": right.namespace,
    }
    return {name: value for name, value in found.items() if value}


def _text(read: bytes | str) -> str:
    """Return what was read; older versions of the library give an empty channel as text."""
    return read.decode(errors="replace") if isinstance(read, bytes) else read


def _allowed(review: Mapping[str, Any]) -> bool:
    return bool((review.get("status") or {}).get("allowed"))


def _message(body: str | bytes | None) -> str:
    """Return the message of a Status object, which is how the API server refuses."""
    try:
        found = json.loads(body or "")
        return " ".join(str(found["message"]).split())
    except (ValueError, KeyError, TypeError):
        return ""


def _failure(outcome: str) -> str:
    """Return why a command failed: the Status object of the last channel says it; empty: it ended with 0."""
    try:
        found = json.loads(outcome)
        return "" if found["status"] == "Success" else str(found.get("message") or "it failed")
    except (ValueError, KeyError, TypeError):
        return "the connection ended before the command did"


def _refusal(code: int, told: str, mends: Mapping[int, str]) -> str:
    mend = mends.get(code)
    return f"the API server refuses ({code}): {told}" + (f"; {mend}" if mend else "")
