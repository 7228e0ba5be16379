/** What tasks and messages of seed 001 require, in its units, and what that is in whole units. Pure. */
import * as z from 'zod'
import { ResourceName, type Units } from './units.ts'

const GIB = 2 ** 30
const MILLICORES = 1_000

/** As tasks have them, with amounts of other resources by name. */
export const SeedRequirements = z
  .object({
    cpu_cores: z.number().nonnegative().max(100_000).optional(),
    memory_gb: z.number().nonnegative().max(1_000_000).optional(),
    storage_gb: z.number().nonnegative().max(1_000_000_000).optional(),
    gpu_units: z.int().nonnegative().max(100_000).optional(),
    resources: z.record(ResourceName, z.int().nonnegative()).optional(),
  })
  .strict()
export type SeedRequirements = z.output<typeof SeedRequirements>

/** Rounded up, but for what a decimal fraction is off by as a binary one. */
const millicores = (cores: number): number => Math.ceil(Number((cores * MILLICORES).toFixed(6)))

/** Whole units: what is asked for in fractions is rounded up, and nothing is left out. */
export const unitsOf = (requirements: SeedRequirements): Units => {
  const { cpu_cores, memory_gb, storage_gb, gpu_units, resources } = requirements
  const all = {
    ...resources,
    ...(cpu_cores !== undefined && { cpu: millicores(cpu_cores) }),
    ...(memory_gb !== undefined && { memory: Math.ceil(memory_gb * GIB) }),
    ...(storage_gb !== undefined && { storage: Math.ceil(storage_gb * GIB) }),
    ...(gpu_units !== undefined && { gpu: gpu_units }),
  }
  return Object.fromEntries(Object.entries(all).filter(([, amount]) => amount > 0))
}
