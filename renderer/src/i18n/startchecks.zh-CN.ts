import type { startChecksEn } from './startchecks.en.ts';

export const startChecksZhCN: typeof startChecksEn = {
  title: '{name} 启动之前',
  titleMany: '{n} 台虚拟机启动之前',
  clear: '现在一切正常。',
  stops: '有问题使它无法启动。',
  warns: '可以启动，但有需要注意的地方。',
  some: '目前并非全部都能启动，或有需要注意的地方。',
  can: '可以启动',
  not: '无法启动',
  choose: '另选…',
  hardware: '硬件',
  anyway: '仍然启动',
  others: '启动其余 {n} 台',
  remedy: {
    eject: '弹出',
    memory: '改为合适的大小',
    'discard-state': '丢弃状态…',
    'despite-disks': '仍然继续…',
    show: '查看虚拟机',
    trash: '打开回收站',
    'check-image': '检查映像…',
    diagnostics: '诊断',
  },
};
