import { z } from 'zod';
import { pciFunctionSchema } from './hostdevices.ts';
import { checkSchema } from './vm.ts';

/** What it takes to hand a PCI function to a guest, as it stands now. */
export const passthroughSchema = z.object({
  device: pciFunctionSchema,
  /** What else is in its IOMMU group and goes along; bridges stay. */
  along: z.array(pciFunctionSchema),
  /** `commands`: what root would enter for it, line by line; none where no command helps. */
  checks: z.array(checkSchema.extend({ commands: z.array(z.string()) })),
});
export type Passthrough = z.infer<typeof passthroughSchema>;
