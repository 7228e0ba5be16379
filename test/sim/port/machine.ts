/**
 * What the simulated nodes agree on: for each session of a client its last command and where that had its effect, and a
 * digest of all effects. A command that was applied before has no effect again (dissertation, section 6.3).
 *
 * State: that table, and who wants to know of each entry.
 */
import type { StateMachine } from '../../../protocols/consensus/group/group-api.ts'
import { changesOfOneRow, oneRow, readOneRow } from '../../support/words.ts'

export interface Command {
  readonly session: string
  readonly serial: number
}

interface Last {
  readonly serial: number
  /** Where it had its effect. */
  readonly index: number
}

export interface Applied {
  readonly index: number
  readonly term: number
  readonly command: Command
  readonly isEffect: boolean
  /** After it. */
  readonly digest: number
}

/** A snapshot travels in parts, so that it can break off between them. */
const PARTS = 3

const inParts: Pick<StateMachine, 'encode' | 'decode'> = {
  async *encode(saved) {
    const bytes = await readOneRow(saved)
    const size = Math.ceil(bytes.length / PARTS)
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
  },
  decode: oneRow.decode,
}

export interface SessionMachine extends StateMachine {
  /** Of the last command that was applied. */
  index(): number
  digest(): number
  last(session: string): Last | undefined
}

/** @param padding bytes that mean nothing: a write of more than one sector can be torn */
export const encodeCommand = ({ session, serial }: Command, padding: number): Uint8Array =>
  new TextEncoder().encode(`${session} ${serial} ${'.'.repeat(padding)}`)
const decodeCommand = (bytes: Uint8Array): Command => {
  const [session = '', serial = ''] = new TextDecoder().decode(bytes).split(' ')
  return { session, serial: Number(serial) }
}

export const createSessionMachine = (onApplied: (applied: Applied) => void): SessionMachine => {
  let sessions = new Map<string, Last>()
  let digest = 0
  let last = 0
  const written = (): Uint8Array => new TextEncoder().encode(JSON.stringify({ last, digest, sessions: [...sessions] }))

  return {
    ...inParts,
    apply(bytes, { index, term }) {
      const command = decodeCommand(bytes)
      const known = sessions.get(command.session)
      const isEffect = known === undefined || known.serial < command.serial
      if (isEffect) {
        sessions.set(command.session, { serial: command.serial, index })
        for (const char of `${index} ${command.session} ${command.serial}`)
          digest = (Math.imul(digest, 31) + char.charCodeAt(0)) | 0
      }
      last = index
      onApplied({ index, term, command, isEffect, digest })
      return sessions.get(command.session)
    },
    changes: () => changesOfOneRow(written()),
    async restore(saved) {
      const read = JSON.parse(new TextDecoder().decode(await readOneRow(saved)))
      saved.release()
      last = read.last
      digest = read.digest
      sessions = new Map(read.sessions)
    },
    index: () => last,
    digest: () => digest,
    last: (session) => sessions.get(session),
  }
}
