/** The list of checks before machines start. */
export const startChecksEn = {
  title: 'Before {name} starts',
  titleMany: 'Before {n} machine starts | Before {n} machines start',
  clear: 'All is well now.',
  stops: 'Something keeps it from starting.',
  warns: 'It can start, but something is doubtful.',
  some: 'Not all of them can start as things are, or something is doubtful.',
  can: 'can start',
  not: 'can’t start',
  choose: 'Choose another…',
  hardware: 'Hardware',
  anyway: 'Start anyway',
  others: 'Start the other {n} | Start the other {n}',
  remedy: {
    eject: 'Eject it',
    memory: 'Use what fits',
    'discard-state': 'Discard the state…',
    show: 'Show machine',
    trash: 'Open the trash',
    storage: 'Open storage',
    diagnostics: 'Diagnostics',
  },
};
