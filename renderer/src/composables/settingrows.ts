/** Settings that can be found by name from the command palette: the test id of each on the settings page, and the key of its name. */
export const settingRows = [
  { id: 'setting-accent', title: 'program.accent.name' },
  { id: 'setting-automaticSnapshots', title: 'settings.automaticSnapshots.name' },
  { id: 'setting-memory', title: 'memory.label' },
  { id: 'setting-cpu', title: 'program.cpu.name' },
  { id: 'setting-disk', title: 'settings.disk' },
  { id: 'setting-diskFormat', title: 'settings.diskFormat' },
  { id: 'settings-engines', title: 'program.engines.title' },
  { id: 'settings-folders', title: 'program.folders.title' },
] as const;
