/** What is used of sax (no types come with it). */
declare module 'sax' {
  interface Parser {
    onerror: (error: Error) => void;
    ondoctype: (text: string) => void;
    onopentag: (tag: { name: string; attributes: Record<string, unknown> }) => void;
    onclosetag: (name: string) => void;
    ontext: (text: string) => void;
    oncdata: (text: string) => void;
    write(text: string): Parser;
    close(): Parser;
  }
  const sax: { parser(strict: boolean): Parser };
  export default sax;
}
