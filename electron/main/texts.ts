import type { Settings } from '../../core/contract/host.ts';

/** Words of the menu and of the system's own dialogs; those of pages are the renderer's. */
const en = {
  about: 'About Hypervue',
  file: 'File',
  newMachine: 'New machine',
  machines: 'Machines',
  quit: 'Quit',
  edit: 'Edit',
  undo: 'Undo',
  redo: 'Redo',
  cut: 'Cut',
  copy: 'Copy',
  paste: 'Paste',
  selectAll: 'Select all',
  view: 'View',
  resetZoom: 'Actual size',
  zoomIn: 'Zoom in',
  zoomOut: 'Zoom out',
  fullscreen: 'Full screen',
  developerTools: 'Developer tools',
  window: 'Window',
  minimize: 'Minimize',
  close: 'Close',
  help: 'Help',
  showLog: 'Show log file',
  hide: 'Hide Hypervue',
  hideOthers: 'Hide others',
  showAll: 'Show all',
  oneRuns: (name: string) => `${name} is running`,
  manyRun: (count: number) => `${count} machines are running`,
  andMore: (count: number) => `and ${count} more`,
  quitDetail:
    'Machines run inside Hypervue, so they stop when it quits. Forcing them off loses what their guests have not written to disk.',
  shutDownAndQuit: 'Shut down and quit',
  forceOffAndQuit: 'Force off and quit',
  cancel: 'Cancel',
  pageFails: 'This window keeps failing',
  pageFailsDetail: 'Machines go on running. The log says more.',
  loadAgain: 'Load it again',
  closeWindow: 'Close the window',
};

export type Texts = typeof en;

const zhCN: Texts = {
  about: '关于 Hypervue',
  file: '文件',
  newMachine: '新建虚拟机',
  machines: '虚拟机',
  quit: '退出',
  edit: '编辑',
  undo: '撤销',
  redo: '重做',
  cut: '剪切',
  copy: '复制',
  paste: '粘贴',
  selectAll: '全选',
  view: '查看',
  resetZoom: '实际大小',
  zoomIn: '放大',
  zoomOut: '缩小',
  fullscreen: '全屏',
  developerTools: '开发者工具',
  window: '窗口',
  minimize: '最小化',
  close: '关闭',
  help: '帮助',
  showLog: '显示日志文件',
  hide: '隐藏 Hypervue',
  hideOthers: '隐藏其他',
  showAll: '全部显示',
  oneRuns: (name) => `“${name}”正在运行`,
  manyRun: (count) => `${count} 台虚拟机正在运行`,
  andMore: (count) => `以及另外 ${count} 台`,
  quitDetail: '虚拟机在 Hypervue 内运行，退出时会一并停止。强制关机会丢失客户机尚未写入磁盘的内容。',
  shutDownAndQuit: '关机并退出',
  forceOffAndQuit: '强制关机并退出',
  cancel: '取消',
  pageFails: '此窗口反复出错',
  pageFailsDetail: '虚拟机仍在运行。详情请见日志。',
  loadAgain: '重新载入',
  closeWindow: '关闭窗口',
};

/** The words for a language setting; `preferred` are the system's languages, best first. */
export function textsFor(setting: Settings['language'], preferred: readonly string[]): Texts {
  const tags = setting === 'system' ? preferred : [setting];
  const known = tags.map((tag) => tag.toLowerCase()).find((tag) => tag.startsWith('zh') || tag.startsWith('en'));
  return known?.startsWith('zh') ? zhCN : en;
}
