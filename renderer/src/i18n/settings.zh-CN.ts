import type { aboutEn, settingsEn } from './settings.en.ts';

export const settingsZhCN: typeof settingsEn = {
  title: '设置',
  appearance: '外观和行为',
  theme: { name: '主题', text: '立即生效', system: '跟随系统', light: '浅色', dark: '深色' },
  language: { name: '语言', text: '立即生效', system: '跟随系统', en: 'English', 'zh-CN': '简体中文' },
  machinesView: { name: '虚拟机页面', text: '虚拟机列表的样式', grid: '网格', table: '表格' },
  snapshots: '快照',
  automaticSnapshots: {
    name: '在有风险的更改之前拍摄快照',
    text: '适用于磁盘支持快照的虚拟机：移除磁盘、缩小磁盘或重置 UEFI 设置之前。每台虚拟机保留最新的 {kept} 个。',
  },
  console: '控制台',
  consoleText: '每个控制台的初始值。每台虚拟机可在其控制台设置中单独更改。',
  defaults: '新虚拟机',
  defaultsText: '创建向导的初始值。已有的虚拟机保持不变。',
  disk: '磁盘大小',
  diskText: '新磁盘的大小',
  diskFormat: '磁盘格式',
  diskFormatText: '新虚拟机的磁盘所用，也用于 `hypervue create`',
};

export const aboutZhCN: typeof aboutEn = {
  version: '版本 {version}',
  text: '自带虚拟机监控程序的虚拟化管理器。',
  engines: '引擎和固件',
  firmware: '固件',
  sample: '示例映像',
  available: '可用',
  unavailable: '不可用',
  host: '此主机',
  hostname: '名称',
  platform: '系统',
  cpu: '处理器',
  cpuValue: '{model}，{count} 线程',
  memory: '内存',
  freeOf: '{total} 中有 {free} 可用',
  library: '虚拟机保存在',
  space: '可用空间',
  mode: '访问方式',
  modes: { desktop: '桌面窗口', headless: '浏览器，通过网络' },
};
