export const floors: Readonly<Record<string, number>>;
export function checkFile(file: string, text: string): string[];
