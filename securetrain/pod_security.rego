# The Pod Security Standards of Kubernetes 1.37, baseline and restricted, as a policy.
# input: a pod's metadata and spec. Each answer has the path of the value, the rule's
# name upstream, and what is wrong. Windows pods and pods in a user namespace are
# excused from some rules upstream, and not here: nobody trains in the first, and the
# second depends on the node.
package podsecurity

import rego.v1

kinds := ["containers", "initContainers", "ephemeralContainers"]

spec := object.get(input, "spec", {})

# Every container, of all three kinds, with its path.
containers contains {"path": ["spec", kind, i], "is": one} if {
	some kind in kinds
	some i, one in spec[kind]
}

# The pod and every container, with their security contexts.
contexts contains {"path": ["spec", "securityContext"], "is": c} if {
	c := spec.securityContext
	is_object(c)
}

contexts contains {"path": array.concat(at.path, ["securityContext"]), "is": c} if {
	some at in containers
	c := at.is.securityContext
	is_object(c)
}

own(at) := c if {
	c := at.is.securityContext
	is_object(c)
} else := {}

pod_context := c if {
	c := spec.securityContext
	is_object(c)
} else := {}

# --- Baseline --------------------------------------------------------------------

baseline contains found("hostNamespaces", ["spec", name], sprintf("%s shares the node's", [name])) if {
	some name in ["hostNetwork", "hostPID", "hostIPC"]
	spec[name] == true
}

baseline contains found("privileged", array.concat(c.path, ["privileged"]), "a privileged container is the node's root") if {
	some c in contexts
	c.is.privileged == true
}

baseline contains found("windowsHostProcess", array.concat(c.path, ["windowsOptions", "hostProcess"]), "a process of the node") if {
	some c in contexts
	c.is.windowsOptions.hostProcess == true
}

default_capabilities := {
	"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
	"NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}

baseline contains found("capabilities_baseline", array.concat(c.path, ["capabilities", "add", i]), sprintf("adds %v", [name])) if {
	some c in contexts
	some i, name in c.is.capabilities.add
	not name in default_capabilities
}

baseline contains found("hostPathVolumes", ["spec", "volumes", i, "hostPath"], "a folder of the node") if {
	some i, volume in spec.volumes
	volume.hostPath != null
}

baseline contains found("hostPorts", array.concat(at.path, ["ports", i, "hostPort"]), sprintf("takes port %v of the node", [port.hostPort])) if {
	some at in containers
	some i, port in at.is.ports
	port.hostPort != null
	port.hostPort != 0
}

# Probes and hooks of a container, with their paths.
handlers contains {"path": array.concat(at.path, [name]), "is": at.is[name]} if {
	some at in containers
	some name in ["livenessProbe", "readinessProbe", "startupProbe"]
	is_object(at.is[name])
}

handlers contains {"path": array.concat(at.path, ["lifecycle", name]), "is": one} if {
	some at in containers
	some name, one in at.is.lifecycle
	is_object(one)
}

baseline contains found("hostProbesAndHostLifecycle", array.concat(one.path, [asks, "host"]), "asks an address of its own choice") if {
	some one in handlers
	some asks in ["httpGet", "tcpSocket"]
	host := one.is[asks].host
	host != null
	host != ""
}

baseline contains found("appArmorProfile", array.concat(c.path, ["appArmorProfile", "type"]), sprintf("AppArmor is %v", [kind])) if {
	some c in contexts
	kind := c.is.appArmorProfile.type
	not kind in {"RuntimeDefault", "Localhost"}
}

baseline contains found("appArmorProfile", ["metadata", "annotations", key], sprintf("AppArmor is %v", [value])) if {
	some key, value in input.metadata.annotations
	startswith(key, "container.apparmor.security.beta.kubernetes.io/")
	not value in {"", "runtime/default"}
	not startswith(value, "localhost/")
}

baseline contains found("seLinuxOptions", array.concat(c.path, ["seLinuxOptions", "type"]), sprintf("SELinux type %v", [kind])) if {
	some c in contexts
	kind := c.is.seLinuxOptions.type
	kind != null
	not kind in {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
}

baseline contains found("seLinuxOptions", array.concat(c.path, ["seLinuxOptions", name]), sprintf("sets an SELinux %v", [name])) if {
	some c in contexts
	some name in ["user", "role"]
	value := c.is.seLinuxOptions[name]
	value != null
	value != ""
}

baseline contains found("procMount", array.concat(c.path, ["procMount"]), "/proc without its masks") if {
	some c in contexts
	kind := c.is.procMount
	kind != null
	kind != "Default"
}

baseline contains found("seccompProfile_baseline", array.concat(c.path, ["seccompProfile", "type"]), "without a filter of system calls") if {
	some c in contexts
	kind := c.is.seccompProfile.type
	not kind in {"RuntimeDefault", "Localhost"}
}

safe_sysctls := {
	"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range",
	"net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
	"net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports",
	"net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
	"net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
	"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
	"net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_notsent_lowat",
}

baseline contains found("sysctls", ["spec", "securityContext", "sysctls", i, "name"], sprintf("sets %v", [one.name])) if {
	some i, one in pod_context.sysctls
	not one.name in safe_sysctls
}

# --- Restricted: all of the above, and ------------------------------------------

restricted contains found("allowPrivilegeEscalation", array.concat(at.path, ["securityContext", "allowPrivilegeEscalation"]), "must be false") if {
	some at in containers
	object.get(own(at), "allowPrivilegeEscalation", null) != false
}

restricted contains found("capabilities_restricted", array.concat(at.path, ["securityContext", "capabilities", "drop"]), "must hold ALL") if {
	some at in containers
	not drops_all(own(at))
}

drops_all(c) if {
	some name in c.capabilities.drop
	name == "ALL"
}

restricted contains found("capabilities_restricted", array.concat(at.path, ["securityContext", "capabilities", "add", i]), sprintf("adds %v", [name])) if {
	some at in containers
	some i, name in own(at).capabilities.add
	name != "NET_BIND_SERVICE"
}

allowed_volumes := {
	"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image",
	"persistentVolumeClaim", "projected", "secret",
}

restricted contains found("restrictedVolumes", ["spec", "volumes", i], "a volume of a kind that is not allowed") if {
	some i, volume in spec.volumes
	has_source(volume)
	not allowed_volume(volume)
}

# One that names no source is an empty folder.
has_source(volume) if {
	some name, value in volume
	name != "name"
	value != null
}

allowed_volume(volume) if {
	some name in allowed_volumes
	volume[name] != null
}

restricted contains found("runAsNonRoot", ["spec", "securityContext", "runAsNonRoot"], "must not be false") if {
	pod_context.runAsNonRoot == false
}

restricted contains found("runAsNonRoot", array.concat(at.path, ["securityContext", "runAsNonRoot"]), "must be true, here or in the pod") if {
	some at in containers
	set_here_or_above(at, "runAsNonRoot") != true
}

set_here_or_above(at, key) := value if {
	value := own(at)[key]
	value != null
} else := value if {
	value := pod_context[key]
	value != null
} else := "unset"

restricted contains found("runAsUser", array.concat(c.path, ["runAsUser"]), "user 0 is root") if {
	some c in contexts
	c.is.runAsUser == 0
}

restricted contains found("seccompProfile_restricted", array.concat(at.path, ["securityContext", "seccompProfile", "type"]), "must be RuntimeDefault or Localhost, here or in the pod") if {
	some at in containers
	profile := set_here_or_above(at, "seccompProfile")
	not filtered(profile)
}

filtered(profile) if {
	is_object(profile)
	profile.type in {"RuntimeDefault", "Localhost"}
}

found(rule, path, why) := {"rule": rule, "path": path, "why": why}
