/** Every key that can be part of a combination, in the order of a keyboard. */
export const sendableKeys: readonly string[] = [
  ...['ctrl', 'alt', 'shift', 'super', 'rctrl', 'ralt', 'rshift', 'rmeta', 'menu'],
  ...['esc', ...Array.from({ length: 12 }, (_, i) => `f${i + 1}`), 'print', 'sysrq', 'scrolllock', 'pause'],
  ...[
    'backspace',
    'tab',
    'enter',
    'space',
    'capslock',
    'numlock',
    'insert',
    'delete',
    'home',
    'end',
    'pageup',
    'pagedown',
    'up',
    'down',
    'left',
    'right',
  ],
  ...'abcdefghijklmnopqrstuvwxyz0123456789',
];
