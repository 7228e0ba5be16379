/**
 * The replicated state machine of the simulated group: a few registers, a counter for each client session with the answer
 * to its last command, and a digest of all that had an effect. A command that was applied before has no effect again
 * (dissertation, section 6.3).
 */
import type { RegisterInput } from '../../support/linearizability-models.ts'

/** What a client asks for that changes something. */
export type Action = Exclude<RegisterInput, { readonly type: 'read' }>

export interface Command {
  readonly session: string
  readonly serial: number
  readonly action: Action
}

/** Of a compare-and-set whether it was done; of a write nothing. */
export type Answer = boolean | null

export interface Machine {
  applied: number
  digest: number
  readonly sessions: Map<string, number>
  /** To the last command of each session. */
  readonly answers: Map<string, Answer>
  readonly registers: Map<string, string>
}

/** What a register holds before it is written. */
export const INITIAL = '-'

export const emptyMachine = (): Machine => ({
  applied: 0,
  digest: 0,
  sessions: new Map(),
  answers: new Map(),
  registers: new Map(),
})

export const copyOf = ({ applied, digest, sessions, answers, registers }: Machine): Machine => ({
  applied,
  digest,
  sessions: new Map(sessions),
  answers: new Map(answers),
  registers: new Map(registers),
})

const ENCODER = new TextEncoder()
const DECODER = new TextDecoder()

/** Words: names, values and keys have no spaces. */
export const encodeCommand = ({ session, serial, action }: Command): Uint8Array => {
  const condition = action.type === 'cas' ? ` ${action.expected}` : ''
  return ENCODER.encode(`${session} ${serial} ${action.key} ${action.value}${condition}`)
}

export const decodeCommand = (bytes: Uint8Array): Command => {
  const [session = '', serial = '', key = '', value = '', expected] = DECODER.decode(bytes).split(' ')
  const action: Action = expected === undefined ? { type: 'write', key, value } : { type: 'cas', key, value, expected }
  return { session, serial: Number(serial), action }
}

export const readRegister = ({ registers }: Machine, key: string): string => registers.get(key) ?? INITIAL

const answerTo = (machine: Machine, action: Action): Answer => {
  const isDone = action.type === 'write' || readRegister(machine, action.key) === action.expected
  if (isDone) machine.registers.set(action.key, action.value)
  return action.type === 'write' ? null : isDone
}

/** @returns whether the command had an effect */
export const applyCommand = (machine: Machine, { session, serial, action }: Command): boolean => {
  if ((machine.sessions.get(session) ?? 0) >= serial) return false
  machine.sessions.set(session, serial)
  machine.answers.set(session, answerTo(machine, action))
  for (const char of `${session} ${serial} ${readRegister(machine, action.key)}`)
    machine.digest = (Math.imul(machine.digest, 31) + char.charCodeAt(0)) | 0
  return true
}
