import type { libraryMoveTexts } from './librarymovetexts.ts';

export const saidLibraryMoveZhCN: Record<keyof typeof libraryMoveTexts, string> = {
  moveTargetFull: '{folder} 不是空的',
  fixMoveTargetFull: '请选择空文件夹，或尚不存在的文件夹。',
  moveNoRoom: '虚拟机共需 {neededBytes}，而 {folder} 只剩 {freeBytes}',
  fixMoveNoRoom: '请在那里腾出空间，或清空这里的回收站。',
  moveOnTop: '{names} 位于别处，以将被移走的虚拟机映像为基础',
  moveOnTopOne: '{names} 位于别处，以将被移走的虚拟机映像为基础',
  fixMoveOnTop: '请先变基或删除这些磁盘。',
  moveDataFile: '{path} 的数据在另一个以完整路径指定的文件中',
  fixMoveDataFile: '请先转换该磁盘。',
  moveChanged: '复制虚拟机期间 {path} 被更改',
  fixMoveChanged: '没有移动任何内容。请确认没有其他程序在使用这些虚拟机，然后重试。',
  moveDiffers: '{path} 读出的内容与复制的不同',
  fixMoveDiffers: '没有移动任何内容。请检查 {folder} 所在的磁盘：它没有保存写入的内容。',
  moveCutOff: '把虚拟机移动到 {to} 的过程中断；它们仍全部在 {from}',
  moveFinished: '移动虚拟机的过程曾中断，现已完成：它们在 {to}',
  moveOldLeft: '虚拟机已在 {to}；无法删除的内容留在 {from}',
  moveLeft: '把虚拟机从 {from} 移动到 {to} 的过程曾中断；现在打开了 {from}，因此其中的内容不再删除，已复制的内容留在 {to}',
  moveAway: '虚拟机正在移动到 {to}，而它不存在',
  fixMoveAway: '请连接它所在的驱动器，然后重新启动 Hypervue。',
};
