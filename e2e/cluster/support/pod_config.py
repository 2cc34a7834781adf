"""A Pod's manifest in CRI's words, as a kubelet translates it: sandbox, container, mounts, environment.

Belongs here: the fields our manifests use. What it does not know it refuses: a field that is passed over in silence would
make a test of the manifest worthless.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from e2e.cluster.support.containerd import TOKEN_DIRECTORY

_POD_FIELDS: Final = {
    # What becomes of the pod is the control plane's or the kubelet's own business.
    *(
        "automountServiceAccountToken",
        "containers",
        "dnsPolicy",
        "enableServiceLinks",
        "hostNetwork",
    ),
    *("nodeName", "nodeSelector", "priorityClassName", "restartPolicy", "serviceAccountName"),
    *("terminationGracePeriodSeconds", "tolerations", "volumes"),
}
_CONTAINER_FIELDS: Final = {
    *("args", "command", "env", "envFrom", "image", "imagePullPolicy", "livenessProbe", "name"),
    *("readinessProbe", "resources", "securityContext", "startupProbe", "volumeMounts"),
}
_SECURITY_FIELDS: Final = {
    *("allowPrivilegeEscalation", "capabilities", "privileged", "readOnlyRootFilesystem"),
    *("runAsUser", "runAsGroup", "runAsNonRoot", "seccompProfile"),
}
#: What a kubelet asks for unless `procMount` says otherwise.
_MASKED: Final = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
)
_READ_ONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_PROPAGATION: Final = {
    None: "PROPAGATION_PRIVATE",
    "HostToContainer": "PROPAGATION_HOST_TO_CONTAINER",
}


@dataclass(frozen=True)
class Place:
    """What a kubelet knows and a manifest does not say."""

    uid: str
    cgroup: str
    logs: Path
    #: Directories that stand in for volumes that are not of the host: by the volume's name, and the token's.
    volumes: Mapping[str, Path] = field(default_factory=dict)
    config_maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    token: Path | None = None


class PodConfig:
    """One pod's configuration, made of its manifest with the messages of `messages`."""

    def __init__(self, messages: Any, manifest: Mapping[str, Any], place: Place) -> None:
        self._m = messages
        self._meta = manifest["metadata"]
        self._spec = manifest["spec"]
        self._place = place
        _refuse_unknown(self._spec, _POD_FIELDS)

    def sandbox(self, attempt: int) -> Any:
        m, meta = self._m, self._meta
        return m.PodSandboxConfig(
            metadata=m.PodSandboxMetadata(
                name=meta["name"], uid=self._place.uid, namespace=meta["namespace"], attempt=attempt
            ),
            # In the node's network the node's name holds.
            hostname="" if self._spec.get("hostNetwork") else meta["name"],
            log_directory=str(self._place.logs),
            labels={
                **meta.get("labels", {}),
                "io.kubernetes.pod.name": meta["name"],
                "io.kubernetes.pod.namespace": meta["namespace"],
                "io.kubernetes.pod.uid": self._place.uid,
            },
            annotations=meta.get("annotations", {}),
            linux=m.LinuxPodSandboxConfig(
                cgroup_parent=f"{self._place.cgroup}/besteffort/pod{self._place.uid}",
                security_context=m.LinuxSandboxSecurityContext(
                    namespace_options=self._namespaces()
                ),
            ),
        )

    def _namespaces(self) -> Any:
        network = self._m.NODE if self._spec.get("hostNetwork") else self._m.POD
        return self._m.NamespaceOption(network=network, pid=self._m.CONTAINER)

    def container(self, container: Mapping[str, Any], attempt: int) -> Any:
        _refuse_unknown(container, _CONTAINER_FIELDS)
        m = self._m
        return m.ContainerConfig(
            metadata=m.ContainerMetadata(name=container["name"], attempt=attempt),
            image=m.ImageSpec(image=container["image"]),
            command=container.get("command", []),
            args=container.get("args", []),
            envs=[m.KeyValue(key=key, value=value) for key, value in self._environment(container)],
            mounts=list(self._mounts(container)),
            log_path=f"{container['name']}-{attempt}.log",
            linux=m.LinuxContainerConfig(
                resources=_resources(m, container.get("resources", {})),
                security_context=self._security(container.get("securityContext", {})),
            ),
        )

    def _environment(self, container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for source in container.get("envFrom", []):
            yield from self._place.config_maps[source["configMapRef"]["name"]].items()
        for entry in container.get("env", []):
            yield entry["name"], entry["value"] if "value" in entry else self._looked_up(entry)

    def _looked_up(self, entry: Mapping[str, Any]) -> str:
        values: dict[str, str] = {
            "spec.nodeName": "nt-node",
            "metadata.uid": self._place.uid,
            "metadata.name": self._meta["name"],
            "metadata.namespace": self._meta["namespace"],
        }
        return values[entry["valueFrom"]["fieldRef"]["fieldPath"]]

    def _mounts(self, container: Mapping[str, Any]) -> Iterator[Any]:
        volumes = {volume["name"]: volume for volume in self._spec.get("volumes", [])}
        for mount in container.get("volumeMounts", []):
            volume = volumes[mount["name"]]
            source = (
                volume["hostPath"]["path"]
                if "hostPath" in volume
                else self._place.volumes[mount["name"]]
            )
            yield self._m.Mount(
                container_path=mount["mountPath"],
                host_path=str(source),
                readonly=mount.get("readOnly", False),
                propagation=getattr(self._m, _PROPAGATION[mount.get("mountPropagation")]),
            )
        if self._place.token and self._spec.get("automountServiceAccountToken", True):
            yield self._m.Mount(
                container_path=f"/var{TOKEN_DIRECTORY}",
                host_path=str(self._place.token),
                readonly=True,
            )

    def _security(self, context: Mapping[str, Any]) -> Any:
        _refuse_unknown(context, _SECURITY_FIELDS)
        m = self._m
        wanted = context.get("capabilities", {})
        made = m.LinuxContainerSecurityContext(
            capabilities=m.Capability(
                add_capabilities=wanted.get("add", []), drop_capabilities=wanted.get("drop", [])
            ),
            privileged=context.get("privileged", False),
            namespace_options=self._namespaces(),
            readonly_rootfs=context.get("readOnlyRootFilesystem", False),
            no_new_privs=not context.get("allowPrivilegeEscalation", True),
            seccomp=self._seccomp(context),
            masked_paths=_MASKED,
            readonly_paths=_READ_ONLY,
        )
        if "runAsUser" in context:
            made.run_as_user.value = context["runAsUser"]
        return made

    def _seccomp(self, context: Mapping[str, Any]) -> Any:
        kind = context.get("seccompProfile", {}).get("type", "Unconfined")
        return self._m.SecurityProfile(profile_type=getattr(self._m.SecurityProfile, kind))


def _resources(messages: Any, wanted: Mapping[str, Any]) -> Any:
    made = messages.LinuxContainerResources()
    if "cpu" in (requests := wanted.get("requests", {})):
        made.cpu_shares = int(requests["cpu"].removesuffix("m")) * 1024 // 1000
    if "memory" in (limits := wanted.get("limits", {})):
        made.memory_limit_in_bytes = int(limits["memory"].removesuffix("Mi")) << 20
    return made


def _refuse_unknown(given: Mapping[str, Any], known: set[str]) -> None:
    if unknown := set(given) - known:
        message = f"fields that this kubelet does not know: {sorted(unknown)}"
        raise ValueError(message)
