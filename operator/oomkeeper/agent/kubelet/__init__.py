"""The kubelet of this host: which process it is, and the settings that oomkeeper must not get in the way of.

Only a process of the host itself is believed (host_process.py), for anyone who can run a pod can name a
process `kubelet`. Where it runs inside another program (k3s, microk8s, hyperkube) its flags are taken from
there (command_line.py); its files are read below its own root (config.py).
"""

from .command_line import k3s_arguments
from .facts import KubeletFacts
from .finder import KubeletFinder, find_kubelet, process_start_time

__all__ = ["KubeletFacts", "KubeletFinder", "find_kubelet", "k3s_arguments", "process_start_time"]
