/** The scenario `membership` has a world of its own, in a folder of its own, which may not be there. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { UsageError } from '../support/usage.ts'

export interface MembershipRun {
  readonly members: number | undefined
  readonly first: number
  readonly seeds: number
  readonly trace: boolean
}

const ENTRY = new URL('./membership/run.ts', import.meta.url)

/** @returns the exit code */
export const runMembership = async (run: MembershipRun, entry: URL = ENTRY): Promise<number> => {
  if (!existsSync(fileURLToPath(entry)))
    throw new UsageError('--scenario membership: test/sim/membership/run.ts is not here, so there is nothing to run')
  const found: { runMembership?: unknown } = await import(entry.href)
  if (typeof found.runMembership !== 'function')
    throw new UsageError('--scenario membership: test/sim/membership/run.ts exports no runMembership')
  return found.runMembership(run)
}
