/** Bytes behind guest RAM in machines with a VirtIO display: the pictures that its guest gave it. 256 MiB, of which the host gives what is used. */
export const GPU_MEMORY_BYTES = 0x1000_0000;
