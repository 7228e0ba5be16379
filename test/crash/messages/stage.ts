/**
 * What a scenario of messages plays on: two or three nodes in processes of their own, their folders and logs.
 * State: the nodes, the folder that all of it lives in.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type DeliveryFigures, type MeshOptionsInput, makeSecret } from '../../../node/index.ts'
import { createRandom, type Random } from '../../soak/random.ts'
import { until } from '../../support/until.ts'
import { freePorts } from '../nodes.ts'
import { type Found, findingsOf } from './findings.ts'
import { type Allowed, judgeMessages, type MessageJudgement } from './judge-messages.ts'
import { createParty, type Party } from './parties.ts'

export const SENDER = 'S'
export const RECEIVER = 'R'
export const THIRD = 'T'
const DRAIN_MS = 120_000

export interface MessageStageOptions {
  readonly seed: number
  readonly names?: readonly string[]
  dataDirOf?(name: string): string | undefined
  readonly options?: MeshOptionsInput
  say?(line: string): void
}

export interface MessageStage {
  readonly folder: string
  readonly parties: readonly Party[]
  readonly random: Random
  party(name: string): Party
  say(line: string): void
  /** Waits until no node has anything to send or to process. @returns milliseconds */
  drained(withinMs?: number): Promise<number>
  /** Kills all and starts them again: what is found then is durable. */
  judge(allowed?: Allowed): Promise<MessageJudgement>
  found(): Promise<Found[]>
  end(options?: { keep: boolean }): Promise<void>
}

const isIdle = ({ outbox, held, running }: DeliveryFigures): boolean => outbox + held + running === 0

export const openMessageStage = async (given: MessageStageOptions): Promise<MessageStage> => {
  const { seed, names = [SENDER, RECEIVER], options = {}, say = () => {} } = given
  const folder = await mkdtemp(join(tmpdir(), 'parley-crash-'))
  const logs = join(folder, 'logs')
  await mkdir(logs)
  const addresses = (await freePorts(names.length)).map((port) => `/ip4/127.0.0.1/tcp/${port}`)
  const secret = makeSecret()
  const parties: Party[] = []
  for (const [i, name] of names.entries()) {
    const outside = join(folder, `outside-${name}`)
    await mkdir(outside)
    parties.push(
      createParty({
        name,
        dataDir: given.dataDirOf?.(name) ?? join(folder, name),
        logFile: join(logs, `${name}.log`),
        folder: outside,
        options: {
          secret,
          listen: [addresses[i] ?? ''],
          join: addresses.filter((_, other) => other !== i),
          coordination: { voter: 'never' },
          ...options,
        },
      }),
    )
  }

  const end = async ({ keep } = { keep: false }): Promise<void> => {
    await Promise.all(parties.map((party) => party.kill()))
    if (!keep) await rm(folder, { recursive: true, force: true })
  }
  const party = (name: string): Party => {
    const known = parties.find((one) => one.name === name)
    if (known === undefined) throw new Error(`there is no ${name}`)
    return known
  }
  const found = async (): Promise<Found[]> => Promise.all(parties.map(findingsOf))

  try {
    await Promise.all(parties.map((one) => one.start()))
  } catch (error) {
    await end({ keep: true })
    throw error
  }
  return {
    folder,
    parties,
    random: createRandom(seed),
    party,
    say,
    async drained(withinMs = DRAIN_MS) {
      const startedAt = performance.now()
      let quiet = 0
      let last = ''
      await until(
        'all is delivered and processed',
        async () => {
          const all = await Promise.all(parties.map((one) => one.ask('figures')))
          quiet = all.every(isIdle) ? quiet + 1 : 0
          last = all.map(({ outbox, held }, i) => `${names[i]} ${outbox}/${held}`).join(', ')
          return quiet >= 2
        },
        withinMs,
        50,
      ).catch((error: unknown) => {
        throw new Error(`outbox/held: ${last}`, { cause: error })
      })
      return performance.now() - startedAt
    },
    async judge(allowed) {
      await Promise.all(parties.map((one) => one.kill()))
      await delay(0)
      await Promise.all(parties.map((one) => one.start()))
      return judgeMessages(await found(), allowed)
    },
    found,
    end,
  }
}
