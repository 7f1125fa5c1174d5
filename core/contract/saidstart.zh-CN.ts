import type { startTexts } from './starttexts.ts';

export const saidStartZhCN: Record<keyof typeof startTexts, string> = {
  diskWantsPassphrase: '{path} 已加密，启动时会询问它的密码',
  rawBeginsAs: '{path} 按 vm.json 所说作为 raw 使用，但开头像 {format} 映像',
  fixRawBeginsAs: '如果它确实是，请移除该磁盘后重新添加。如果是客户机写成这样，则没有问题。',
  spaceGrow: '{folder} 中的磁盘还可能增长 {sizeBytes}，而那里只剩 {freeBytes}',
  fixSpaceGrow: '请腾出一些空间。空间用尽时虚拟机会暂停，有空间后继续。',
  spaceSave: '保存状态可能需要 {neededBytes}；{folder} 只剩 {freeBytes}',
  fixSpaceSave: '请在保存状态之前腾出一些空间。',
  savedStateFits: '从 {at} 的状态继续（{sizeBytes}）',
};
