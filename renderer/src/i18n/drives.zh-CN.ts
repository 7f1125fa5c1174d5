import type { busEn, driveEn, encryptEn, mediaEn, unlockEn } from './drives.en.ts';

export const unlockZhCN: typeof unlockEn = {
  title: '解锁“{name}”',
  text: {
    machine: '此虚拟机有加密的磁盘。密码短语仅用于本次启动，不会保存。',
    volume: '此磁盘已加密。密码短语仅用于本次操作，不会保存。',
    drive: '此驱动器的映像已加密。密码短语仅用于这一次，不会保存。',
  },
  passphrase: '密码短语',
  submit: { machine: '解锁并启动', volume: '解锁并继续', drive: '解锁并插入' },
};

export const encryptZhCN: typeof encryptEn = {
  label: '加密磁盘',
  text: '没有密码短语就无法读取（LUKS，AES-256）。虚拟机每次启动时都会询问。',
  raw: '这里只能加密 qcow2 磁盘',
  first: '密码短语',
  second: '再次输入',
  warning: '不会保存在任何地方。忘记密码短语就会失去磁盘上的内容。',
  sameAsBelow: '下层的“{name}”已加密：请输入它的密码短语，两者用同一个打开。',
  problem: { empty: '请输入密码短语', characters: '密码短语不能含有控制字符', mismatch: '两次输入不一致' },
  strength: { weak: '弱：可以被试出来。请使用多个单词或更多字符。', fair: '一般：不容易被试出来', strong: '强' },
};

export const driveZhCN: typeof driveEn = {
  disk: '硬盘',
  cdrom: '光驱',
  floppy: '软驱',
  diskImage: '磁盘映像',
  cdromImage: 'ISO 映像',
  floppyImage: '软盘映像',
  settings: {
    open: '设置…',
    openOf: '{drive} 处磁盘的设置',
    title: '硬盘：{drive}',
    busOff: '连接位置只能在虚拟机关闭时更改',
    noPlace: '没有空余位置',
    cache: '写入方式',
    cacheMode: {
      writeback: '缓存写入，刷新时落盘',
      writethrough: '立即落盘',
      none: '不使用本机缓存',
      directsync: '不使用本机缓存，立即落盘',
      unsafe: '缓存写入，忽略刷新',
    },
    cacheText: {
      writeback: '客户机刷新过的数据不会丢失，与带缓存的真实磁盘相同',
      writethrough: '每次写入都先到达本机磁盘才算完成：速度慢，但不会丢失数据',
      none: '读写直接到达本机磁盘，下次启动后生效。不占用本机内存；部分文件系统不支持',
      directsync: '不使用本机缓存，并且每次写入落盘后才算完成，下次启动后生效：速度最慢',
      unsafe: '速度最快。本机崩溃时磁盘可能损坏：只用于可以重建的数据',
    },
    discard: '客户机释放的空间',
    discardMode: { unmap: '归还', ignore: '保留' },
    discardText: '归还时，客户机删除文件并执行 TRIM 后映像会变小',
    zeroes: '全零的写入也不占用空间',
    writeErrors: '本机无法写入时',
    onWrite: { stop: '暂停虚拟机', 'stop-if-full': '磁盘写满时暂停', report: '通知客户机', ignore: '忽略' },
    onWriteText: {
      stop: '恢复运行时会重新写入：不会丢失数据',
      'stop-if-full': '恢复运行时会重新写入；其他错误会通知客户机',
      report: '客户机会收到 I/O 错误，并可能把文件系统变为只读',
      ignore: '客户机以为已经写入：数据会悄悄丢失',
    },
    readErrors: '本机无法读取时',
    onRead: { report: '通知客户机', stop: '暂停虚拟机' },
    onReadText: '暂停的虚拟机在恢复运行时会重试',
    limits: '限速',
    iops: '次请求/秒',
    bandwidth: 'MiB/秒',
    limitsText: '读写合计。留空表示不限制',
    grow: '扩大到',
    growText: '留空则大小不变。之后需要在客户机内扩大分区和文件系统',
  },
  place: { sata: 'SATA 端口 {n}', virtio: 'VirtIO 磁盘 {n}', usb: 'USB 驱动器 {n}' },
  ide0: 'IDE 主通道主设备',
  ide1: 'IDE 主通道从设备',
  ide2: 'IDE 次通道主设备',
  ide3: 'IDE 次通道从设备',
  fd0: 'A',
  fd1: 'B',
  empty: '空',
  none: '没有驱动器。',
  change: '更换…',
  insert: '插入…',
  eject: '弹出',
  readOnly: '只读',
  changeTitle: '更换介质：{drive}',
};

export const busZhCN: typeof busEn = {
  label: '连接方式',
  chosenFor: '为 {os} 选择',
  ide: 'IDE 接口',
  sata: 'SATA（AHCI）',
  virtio: 'VirtIO（半虚拟化）',
  usb: 'USB 接口',
  text: {
    ide: '所有操作系统都支持',
    sata: '适合 2007 年以后的系统，包括 Windows Vista 及更新版本：可同时处理多个请求，支持 TRIM',
    virtio: '大量小请求时最快。Linux 和 BSD 自带驱动；Windows 需要先安装驱动才能看到磁盘',
    usb: '像 U 盘一样插入的驱动器，虚拟机开启时也可插拔：USB 3，适合带 xHCI 驱动的系统（Windows 8、Linux），并随之添加 USB 控制器',
  },
};

export const mediaZhCN: typeof mediaEn = {
  looking: '正在检查文件…',
  kind: {
    iso: '光盘映像',
    floppy: '软盘映像',
    disk: '磁盘映像',
    bzimage: 'Linux 内核',
    multiboot: 'multiboot 内核',
    unknown: '未知内容',
  },
  bootable: '可启动',
  notBootable: '不可启动',
};
