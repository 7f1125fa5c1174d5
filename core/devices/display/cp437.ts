/** Code page 437, the character set in a PC's font ROM, as Unicode; control codes by their glyphs. */
const LOW = ' ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼';
const HIGH =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒ' +
  'áíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐' +
  '└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀' +
  'αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■ ';

/** One character for each of the 256 codes. */
export const CP437: readonly string[] = Array.from({ length: 256 }, (_, code) =>
  code < 0x20 ? LOW[code]! : code === 0x7f ? '⌂' : code < 0x80 ? String.fromCharCode(code) : HIGH[code - 0x80]!,
);
