import type { refusalTexts } from './refusaltexts.ts';

export const saidRefusalZhCN: Record<keyof typeof refusalTexts, string> = {
  noSuchMethod: '管理器不认识“{method}”',
  fixNoSuchMethod: '此窗口或命令与管理器的版本不同。请使用相同的版本；在浏览器中请重新加载页面。',
  tooManyCalls: '正在进行的调用过多',
  fixTooManyCalls: '请等待先前的调用完成。',
  wrongRequest: '该请求{problem}',
  wrongArgument: '{field}：{problem}',
  argumentMissing: '缺失',
  argumentType: '不是 {type} 类型',
  argumentLong: '超过 {limit} 个字符',
  argumentShort: '少于 {limit} 个字符',
  argumentMany: '超过 {limit} 项',
  argumentFew: '少于 {limit} 项',
  argumentLarge: '大于 {limit}',
  argumentSmall: '小于 {limit}',
  argumentUnknown: '包含未知内容：{names}',
  argumentChoice: '不是以下之一：{values}',
  argumentForm: '格式不正确',
  nameControl: '含有无法显示的字符，例如制表符或换行符',
  nameInvisible: '没有任何可见字符',
};
