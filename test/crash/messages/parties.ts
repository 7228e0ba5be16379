/**
 * The nodes of a crash run of messages, as its driver has them: each a process with a data directory, a port and an
 * identity that it keeps from life to life. Killed at any moment, also while it starts; started again. State: its process.
 */
import { pathToFileURL } from 'node:url'
import type { MeshOptionsInput } from '../../../node/index.ts'
import { type Child, forkChild } from '../../soak/child.ts'
import { programOf } from '../../support/program.ts'
import { StartRefused } from '../nodes.ts'
import type { PartyVerbs } from './verbs.ts'

const PROGRAM = pathToFileURL(programOf('test/crash/messages/party-process.ts')).href

export interface PartyPlan {
  readonly name: string
  readonly dataDir: string
  readonly logFile: string
  readonly folder: string
  readonly options: MeshOptionsInput
}

export interface Party {
  readonly name: string
  readonly dataDir: string
  readonly folder: string
  readonly logFile: string
  /** Peer id; empty before the first start. */
  readonly id: string
  /** It runs, and answers. */
  readonly isThere: boolean
  /** How often it was started. */
  readonly lives: number
  readonly kills: number
  readonly ask: Child<PartyVerbs>['ask']
  /** @throws StartRefused; Error where it was killed meanwhile */
  start(options?: MeshOptionsInput): Promise<void>
  /** SIGKILL, whatever it does; resolves once it is gone. */
  kill(): Promise<void>
  /** SIGTERM; resolves once it is gone. @returns how it ended */
  terminate(): Promise<number | NodeJS.Signals>
}

export const createParty = ({ name, dataDir, logFile, folder, options }: PartyPlan): Party => {
  let child: Child<PartyVerbs> | undefined
  let id = ''
  let isThere = false
  let lives = 0
  let kills = 0
  const current = (): Child<PartyVerbs> => {
    if (child === undefined) throw new Error(`${name} does not run`)
    return child
  }
  const over = async (mine: Child<PartyVerbs>): Promise<number | NodeJS.Signals> => {
    isThere = false
    const how = await mine.ended
    if (child === mine) child = undefined
    return how
  }
  return {
    name,
    dataDir,
    folder,
    logFile,
    get id() {
      return id
    },
    get isThere() {
      return isThere
    },
    get lives() {
      return lives
    },
    get kills() {
      return kills
    },
    ask: async (verb, ...input) => current().ask(verb, ...input),
    async start(more = {}) {
      const mine = forkChild<PartyVerbs>(PROGRAM, () => {})
      child = mine
      lives += 1
      const begun = await mine.ask('start', { logFile, folder, options: { ...options, ...more, name, dataDir } })
      if ('refusal' in begun) {
        await mine.kill()
        await over(mine)
        throw new StartRefused(name, begun.refusal)
      }
      id = begun.id
      isThere = child === mine
    },
    async kill() {
      if (child === undefined) return
      const mine = child
      kills += 1
      isThere = false
      await mine.kill()
      await over(mine)
    },
    async terminate() {
      const mine = current()
      isThere = false
      process.kill(mine.pid, 'SIGTERM')
      return over(mine)
    },
  }
}
