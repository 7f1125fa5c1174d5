export interface KvmUnitTest {
  /** Name of the image without its ending. */
  file: string;
  args?: string;
  on: readonly ('i386' | 'x86_64')[];
  hpet?: boolean;
  /** Longest that it may take; default 2. */
  minutes?: number;
}

const i386 = ['i386'] as const;

/** The tests that apply to our processor and pass; docs/conformance.md has the rest. */
export const kvmUnitTests: readonly KvmUnitTest[] = [
  { file: 'cmpxchg8b', on: i386 },
  { file: 'emulator', on: i386 },
  { file: 'eventinj', on: i386 },
  { file: 'hpet_read_test', on: i386, hpet: true },
  { file: 'la57', on: i386 },
  { file: 'realmode', on: i386 },
  { file: 'setjmp', on: i386 },
  { file: 'sieve', on: i386, minutes: 15 },
  { file: 'smptest', on: i386 },
  { file: 'taskswitch', on: i386 },
  { file: 'taskswitch2', on: i386 },
  { file: 'umip', on: i386 },
  { file: 'vmexit', args: 'cpuid', on: i386 },
  { file: 'vmexit', args: 'inl_from_pmtimer', on: i386 },
  { file: 'vmexit', args: 'toggle_cr0_wp', on: i386 },
  { file: 'vmexit', args: 'toggle_cr4_pge', on: i386 },
];
