/** What one end does in a suite: it is started once, then answers verbs. Inputs and hellos are JSON. */
import type { System } from './system.ts'

export type Verb = (input: unknown) => Promise<unknown>

export interface Acting {
  /** Goes back to the driver when the end is ready. */
  readonly hello: unknown
  readonly verbs: Readonly<Record<string, Verb>>
  stop(): Promise<void>
}

export type Role = (system: System, input: unknown) => Promise<Acting>
export type Roles = Readonly<Record<string, Role | undefined>>
