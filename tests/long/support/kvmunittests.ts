export interface KvmUnitTest {
  /** Name of the image without its ending. */
  file: string;
  args?: string;
  on: readonly ('i386' | 'x86_64')[];
  hpet?: boolean;
  /** The tests then skip what needs KVM's hypercalls or QEMU's test device. */
  noTestDevice?: boolean;
  /** Longest that it may take; default 4. */
  minutes?: number;
}

const i386 = ['i386'] as const;
const x64 = ['x86_64'] as const;
const both = ['i386', 'x86_64'] as const;

/** The tests that apply to our processor and pass; docs/conformance.md has the rest. */
export const kvmUnitTests: readonly KvmUnitTest[] = [
  { file: 'access_test', on: x64, minutes: 15 },
  { file: 'apic', on: x64, noTestDevice: true },
  { file: 'cmpxchg8b', on: i386 },
  { file: 'debug', on: x64 },
  { file: 'emulator', on: both },
  { file: 'eventinj', on: both },
  { file: 'hpet_read_test', on: both, hpet: true },
  { file: 'hypercall', on: both },
  { file: 'idt_test', on: x64 },
  { file: 'ioapic', on: x64 },
  { file: 'kvmclock_test', args: '1000000', on: both },
  { file: 'la57', on: both },
  { file: 'lam', on: x64 },
  { file: 'memory', on: x64 },
  { file: 'msr', on: both },
  { file: 'pcid', on: x64 },
  { file: 'rdpru', on: x64 },
  { file: 'realmode', on: both },
  { file: 'rmap_chain', on: x64 },
  { file: 'setjmp', on: both },
  { file: 'sieve', on: both, minutes: 15 },
  { file: 'smap', on: both },
  { file: 'smptest', on: both },
  { file: 'taskswitch', on: i386 },
  { file: 'taskswitch2', on: i386 },
  { file: 'tsc', on: both },
  { file: 'tsc_adjust', on: both },
  { file: 'tscdeadline_latency', on: x64 },
  { file: 'umip', on: both },
  { file: 'vmexit', args: 'cpuid', on: both },
  { file: 'vmexit', args: 'inl_from_pmtimer', on: both },
  { file: 'vmexit', args: 'mov_from_cr8', on: x64 },
  { file: 'vmexit', args: 'mov_to_cr8', on: x64 },
  { file: 'vmexit', args: 'toggle_cr0_wp', on: both },
  { file: 'vmexit', args: 'toggle_cr4_pge', on: both },
  { file: 'vmexit', args: 'vmcall', on: both },
  { file: 'xsave', on: x64 },
];
