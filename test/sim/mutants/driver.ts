/** Deliberate bugs of the driver, found over Ports and disks that fail. */
import type { Mutant } from './mutant.ts'

export const DRIVER_MUTANTS: readonly Mutant[] = []
