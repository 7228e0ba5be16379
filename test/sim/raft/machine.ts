/**
 * The replicated state machine of the simulated group: a counter for each client session, and a digest of all that had an
 * effect. A command that was applied before has no effect again (dissertation, section 6.3).
 */
export interface Command {
  readonly session: string
  readonly serial: number
}

export interface Machine {
  applied: number
  digest: number
  readonly sessions: Map<string, number>
}

export const emptyMachine = (): Machine => ({ applied: 0, digest: 0, sessions: new Map() })

export const copyOf = ({ applied, digest, sessions }: Machine): Machine => ({
  applied,
  digest,
  sessions: new Map(sessions),
})

export const encodeCommand = ({ session, serial }: Command): Uint8Array =>
  new TextEncoder().encode(`${session} ${serial}`)
export const decodeCommand = (bytes: Uint8Array): Command => {
  const [session = '', serial = ''] = new TextDecoder().decode(bytes).split(' ')
  return { session, serial: Number(serial) }
}

/** @returns whether the command had an effect */
export const applyCommand = (machine: Machine, { session, serial }: Command): boolean => {
  if ((machine.sessions.get(session) ?? 0) >= serial) return false
  machine.sessions.set(session, serial)
  for (const char of `${session} ${serial}`) machine.digest = (Math.imul(machine.digest, 31) + char.charCodeAt(0)) | 0
  return true
}
