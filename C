/kubepods/burstable/pod8bbbcd98-a009-4da2-8ebf-7dc993e4357a
