import type { Accent } from '../../../core/contract/host.ts';

export interface AccentColors {
  accent: string;
  hover: string;
  /** Ground of what is chosen; the accent is legible on it. */
  soft: string;
}

/** Each meets WCAG AA as text on the surface and on its own soft ground, and below the text of buttons. */
export const accentColors: Record<Accent, { light: AccentColors; dark: AccentColors }> = {
  violet: {
    light: { accent: '#5450c4', hover: '#4743b0', soft: '#ecebfb' },
    dark: { accent: '#b0acff', hover: '#c3c0ff', soft: '#2b2a4a' },
  },
  blue: { light: { accent: '#0b5fb0', hover: '#084f94', soft: '#e4effa' }, dark: { accent: '#8ec2ff', hover: '#acd2ff', soft: '#17304a' } },
  teal: { light: { accent: '#0b6666', hover: '#085454', soft: '#def2f1' }, dark: { accent: '#5fd0c8', hover: '#86ddd7', soft: '#103532' } },
  green: {
    light: { accent: '#1b6637', hover: '#14522c', soft: '#e2f3e8' },
    dark: { accent: '#6fd093', hover: '#93ddaf', soft: '#17351f' },
  },
  orange: {
    light: { accent: '#954300', hover: '#7d3800', soft: '#fbeadc' },
    dark: { accent: '#ffab6b', hover: '#ffc193', soft: '#45270f' },
  },
  pink: { light: { accent: '#a02870', hover: '#87205e', soft: '#fae5f0' }, dark: { accent: '#ff9fd0', hover: '#ffbadd', soft: '#45203a' } },
  graphite: {
    light: { accent: '#46505e', hover: '#363f4b', soft: '#e8ebef' },
    dark: { accent: '#c3ccd8', hover: '#d6dde6', soft: '#2e343c' },
  },
};

/** Gives the tokens of tokens.css the colours of an accent. */
export function applyAccent(accent: Accent, isDark: boolean, root: HTMLElement): void {
  const colors = accentColors[accent][isDark ? 'dark' : 'light'];
  root.style.setProperty('--accent', colors.accent);
  root.style.setProperty('--accent-hover', colors.hover);
  root.style.setProperty('--accent-soft', colors.soft);
}
