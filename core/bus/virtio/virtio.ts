/** Numbers that every virtio device shares. Virtual I/O Device (VIRTIO) version 1.2. */

/** Device status, section 2.1. */
export const STATUS_DRIVER_OK = 4;
export const STATUS_FEATURES_OK = 8;
export const STATUS_NEEDS_RESET = 0x40;

/** Feature bits of every device, section 6. */
export const F_INDIRECT_DESC = 28;
export const F_EVENT_IDX = 29;
export const F_VERSION_1 = 32;
