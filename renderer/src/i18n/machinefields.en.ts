/** What a machine is made of besides drives and cards: the same fields in the wizard and on the hardware page. */
export const firmwareEn = {
  label: 'Firmware',
  kind: { bios: 'BIOS', uefi: 'UEFI' },
  text: {
    bios: 'SeaBIOS: for systems of every age',
    uefi: 'OVMF, 64-bit: for systems installed for UEFI; keeps its boot entries and settings with the machine',
  },
  cpu: 'UEFI needs a 64-bit processor',
  missing: 'UEFI needs OVMF, which is not installed (Debian, Ubuntu: apt-get install ovmf)',
  reset: 'Reset UEFI settings…',
  resetWhenOff: 'The machine must be off for this',
};

export const cpuEn = {
  label: 'Processor',
  model: {
    i686: 'i686 (32-bit)',
    'x86-64': 'x86-64 (64-bit)',
    'x86-64-v2': 'x86-64-v2 (64-bit)',
    'x86-64-v3': 'x86-64-v3 (64-bit)',
  },
  text: {
    i686: 'A 32-bit processor with SSE2, for 32-bit and older systems',
    'x86-64': 'The first 64-bit processors: SSE2 and nothing newer',
    'x86-64-v2': 'For nearly every 64-bit system: adds SSE4.2, POPCNT and AES',
    'x86-64-v3': 'For programs that need it: adds AVX2, BMI and FMA',
  },
};

export const accelEn = {
  label: 'Execution',
  kind: { jit: 'Recompiler', interp: 'Interpreter' },
  text: {
    jit: 'Turns code that runs often into WebAssembly, many times as quick; right for every guest',
    interp: 'Executes one instruction after the other: slow, with less memory; for finding out whether the recompiler is at fault',
  },
};

export const gdbEn = {
  label: 'Let gdb attach',
  text: 'A debugger on this computer can stop the guest and look into it',
  port: 'Port of 127.0.0.1',
  socket: 'At the socket {path} in the machine’s folder',
  wait: 'Wait for gdb before the first instruction',
  warning: 'Whoever reaches the port on this computer controls the guest.',
};

export const systemEn = {
  unknown: 'Unknown or other',
  text: 'Memory, disk and firmware are suggested for it. Any name is fine.',
  found: 'Found on the medium.',
  like: 'The table of systems has nothing as new: suggestions are those for {like}.',
};

export const memoryEn = {
  aboveHost: 'More than the {host} that this computer has: it will not start.',
  label: 'Memory',
  slider: 'Memory, slider',
  limits: 'At most {max}',
  free: '{free} free on this host',
  aboveFree: 'More than the {free} that are free now: the host may become slow.',
  little: 'Very little: only small systems such as DOS start with this.',
  recommended: 'Recommended for {os}: {memory}',
  minimum: '{os} needs at least {memory}',
  belowMinimum: 'Less than the {least} that {os} needs: it may not start.',
};
