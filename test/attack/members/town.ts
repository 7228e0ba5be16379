/**
 * A mesh under attack: honest members in processes of their own over loopback TCP, and the attackers in this one. State:
 * members and attackers that are there, and the folder of their data.
 */
import { rmSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type MeshOptionsInput, makeSecret } from '../../../node/index.ts'
import { freePorts } from '../../crash/nodes.ts'
import { until } from '../../support/until.ts'
import { type Attacker, createAttacker } from '../raw/attacker.ts'
import { type Member, startMember } from './member.ts'

const FOUND_MS = 30_000
/** From it on shares of the journal and proofs of coordination hold. */
const LEVEL = 2
const RAISED_MS = 10_000
/** Attackers answer no probes: they are to be stopped for what they do, not for what they do not say. */
const DEAD_AFTER_MS = 600_000

/** What every voter knows of holds once they have said so; a version before shares and proofs has no such level. */
const untilRaised = async ([voter]: readonly Member[]): Promise<void> => {
  const raised = async (): Promise<boolean> => {
    const level = await voter?.ask('get', { key: '$level', withinMs: 1_000 })
    return level !== undefined && 'value' in level && Number(level.value ?? 1) >= LEVEL
  }
  await until('the feature level is raised', raised, RAISED_MS).catch(() => {})
}

export interface Town {
  readonly mesh: string
  readonly secret: string
  /** Voters first. */
  readonly members: Member[]
  /** One more member, which joins those that are there. */
  add(name: string, options?: Omit<MeshOptionsInput, 'log'>): Promise<Member>
  attacker(): Promise<Attacker>
  /** The options of the next member, for one that is started by hand. */
  optionsOf(
    name: string,
    options?: Omit<MeshOptionsInput, 'log'>,
  ): { options: Omit<MeshOptionsInput, 'log'>; logFile: string }
  end(): Promise<void>
}

export interface TownPlan {
  /** Nodes with a data directory that found the mesh together. 0: nobody founds it. */
  readonly voters?: number
  /** Options of all members. */
  readonly common?: Omit<MeshOptionsInput, 'log'>
}

export const openTown = async ({ voters = 0, common = {} }: TownPlan = {}): Promise<Town> => {
  const folder = await mkdtemp(join(tmpdir(), 'parley-attack-'))
  /** Also where a signal ends the run. */
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  process.once('exit', remove)
  await mkdir(join(folder, 'logs'))
  const mesh = 'besieged'
  const secret = makeSecret()
  const members: Member[] = []
  const attackers: Attacker[] = []
  const ports = await freePorts(voters)
  const addresses = ports.map((port) => `/ip4/127.0.0.1/tcp/${port}`)

  const optionsOf: Town['optionsOf'] = (name, options = {}) => ({
    logFile: join(folder, 'logs', `${name}.log`),
    options: {
      mesh,
      secret,
      name,
      join: addresses.length > 0 ? addresses : members.slice(0, 1).map((member) => member.address()),
      ...common,
      ...options,
      timings: { deadAfterMs: DEAD_AFTER_MS, ...common.timings, ...options.timings },
    },
  })

  const end = async (): Promise<void> => {
    await Promise.all(attackers.map((one) => one.stop().catch(() => {})))
    await Promise.all(members.map((one) => one.kill()))
    process.off('exit', remove)
    await rm(folder, { recursive: true, force: true })
  }

  const town: Town = {
    mesh,
    secret,
    members,
    optionsOf,
    async add(name, options) {
      const member = await startMember({ name, ...optionsOf(name, options) })
      members.push(member)
      return member
    },
    async attacker() {
      const one = await createAttacker(mesh)
      attackers.push(one)
      return one
    },
    end,
  }

  const startVoter = (address: string, i: number): Promise<Member> => {
    const name = `voter-${i + 1}`
    const options = {
      dataDir: join(folder, name),
      listen: [address],
      join: addresses.filter((other) => other !== address),
      coordination: { expect: voters },
    }
    return startMember({ name, ...optionsOf(name, options) })
  }
  try {
    members.push(...(await Promise.all(addresses.map(startVoter))))
    if (voters > 0) {
      await until(
        'the mesh is founded',
        async () => {
          const all = await Promise.all(members.map((member) => member.ask('status')))
          return all.some(({ acting }) => acting) && all.every((one) => one.voters.length === voters && one.quorum)
        },
        FOUND_MS,
      )
    }
    if (voters > 0) await untilRaised(members)
    return town
  } catch (error) {
    await end()
    throw error
  }
}
