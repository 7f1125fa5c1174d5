import type { accelEn, cpuEn, firmwareEn, gdbEn, memoryEn, systemEn } from './machinefields.en.ts';

export const firmwareZhCN: typeof firmwareEn = {
  label: '固件',
  kind: { bios: 'BIOS', uefi: 'UEFI' },
  text: {
    bios: 'SeaBIOS：适合各个年代的系统',
    uefi: 'OVMF，64 位：适合为 UEFI 安装的系统；启动项和设置随虚拟机保存',
  },
  cpu: 'UEFI 需要 64 位处理器',
  missing: 'UEFI 需要 OVMF，但尚未安装（Debian、Ubuntu：apt-get install ovmf）',
  reset: '重置 UEFI 设置…',
  resetWhenOff: '虚拟机必须处于关机状态',
};

export const cpuZhCN: typeof cpuEn = {
  label: '处理器',
  model: {
    i686: 'i686（32 位）',
    'x86-64': 'x86-64（64 位）',
    'x86-64-v2': 'x86-64-v2（64 位）',
    'x86-64-v3': 'x86-64-v3（64 位）',
  },
  text: {
    i686: '带 SSE2 的 32 位处理器，适合 32 位和较旧的系统',
    'x86-64': '最早的 64 位处理器：只有 SSE2，没有更新的指令',
    'x86-64-v2': '适合几乎所有 64 位系统：增加 SSE4.2、POPCNT 和 AES',
    'x86-64-v3': '供需要它的程序使用：增加 AVX2、BMI 和 FMA',
  },
};

export const accelZhCN: typeof accelEn = {
  label: '执行方式',
  kind: { jit: '重编译器', interp: '解释器' },
  text: {
    jit: '把频繁运行的代码编译为 WebAssembly，速度快许多倍；适合所有客户机',
    interp: '逐条执行指令：速度慢，占用内存较少；用于判断问题是否出在重编译器',
  },
};

export const gdbZhCN: typeof gdbEn = {
  label: '允许 gdb 连接',
  text: '本机上的调试器可以暂停并检查客户机',
  port: '127.0.0.1 的端口',
  socket: '使用虚拟机文件夹中的套接字 {path}',
  wait: '在第一条指令之前等待 gdb',
  warning: '本机上任何能访问此端口的人都可以控制客户机。',
};

export const systemZhCN: typeof systemEn = {
  unknown: '未知或其他',
  text: '将据此建议内存、磁盘和固件。可以填写任何名称。',
  found: '从介质中识别。',
  like: '系统表中没有这么新的版本：采用 {like} 的建议。',
};

export const memoryZhCN: typeof memoryEn = {
  aboveHost: '超过本机的 {host} 内存：将无法启动。',
  label: '内存',
  slider: '内存滑块',
  limits: '最多 {max}',
  free: '此主机有 {free} 可用',
  aboveFree: '超过目前可用的 {free}，主机可能变慢。',
  little: '非常少：只有 DOS 之类的小系统能启动。',
  recommended: '{os} 建议：{memory}',
  minimum: '{os} 至少需要 {memory}',
  belowMinimum: '少于 {os} 所需的 {least}：可能无法启动。',
};
