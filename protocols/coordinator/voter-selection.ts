/**
 * Who votes: a coordinator hears offers, sees who keeps up, and changes the voters and learners, one at a time, as the
 * autopilot advises; it raises the feature level to what all voters have.
 *
 * State: the last offer of each peer (bounded, for 40 s), since when each member is one and has kept up. All of it
 * soft: another coordinator finds out by itself.
 */

import { peerOf } from '../consensus/member-id.ts'
import { countVoterChanges, isMember } from '../consensus/raft/configuration-history.ts'
import type { Configuration } from '../consensus/raft/raft-messages.ts'
import type { JournalMember } from '../journal/journal-server.ts'
import { agreePart, type JournalPart, MAX_AGREED_PARTS, PARTS_LEVEL } from '../journal/part-kinds.ts'
import { FEATURE_LEVEL_KEY, featureLevelOf, raiseLevel } from '../journal/state/built-in-kinds.ts'
import { COLLECTIONS_LEVEL } from '../journal/state/collection-rows.ts'
import { encodeLoggedCommand, type Json } from '../journal/state/command-kind.ts'
import type { Port } from '../port.ts'
import { type AutopilotSettings, advise } from './autopilot.ts'

const OFFER_LASTS_MS = 40_000
export const MAX_VOTER_OFFERS = 256
/** Silent for longer, a member does not keep up. */
const FRESH_MS = 1_500
const MOST_VOTERS = 5

export interface VoterOffer {
  readonly member: string
  readonly level: number
  /** It withdraws for good. */
  readonly leaving: boolean
  /** Levels of its parts. */
  readonly parts?: ReadonlyMap<string, number>
}

export interface VoterSelectionRules {
  /** The last change of voters is proven: each one is, before the next. */
  readonly isChangeProven: boolean
  /** The feature level that a voter to come has to know, beside that of the journal. */
  readonly minLevel: number
}

export interface VoterSelection {
  /** This node acts from now on: what it knows of the members begins here. */
  reset(): void
  /** @returns whether there are enough voters, so that it may offer less often */
  addOffer(offer: VoterOffer, configuration: Configuration): boolean
  /**
   * One step towards what the autopilot advises. Does nothing while one is on its way.
   */
  advance(member: JournalMember, rules?: VoterSelectionRules): Promise<void>
  counts(): { offers: number; refused: number }
}

/** Since when each member is one, and has kept up. */
const createAttendance = (now: () => number) => {
  const memberSince = new Map<string, number>()
  const keptUpSince = new Map<string, number>()
  let actingSince = 0
  /** What was committed when they were looked at last. */
  let lastCommit = Number.POSITIVE_INFINITY
  const heardMs = ({ group }: JournalMember, id: string): number => group.silentMs(id) ?? Number.POSITIVE_INFINITY

  return {
    heardMs,
    /** Nobody is silent for longer than it could have been heard here. */
    silentMs: (at: JournalMember, id: string): number =>
      Math.min(heardMs(at, id), now() - Math.max(actingSince, memberSince.get(id) ?? now())),
    keptUpMs: (id: string): number => now() - (keptUpSince.get(id) ?? now()),
    began(): void {
      actingSince = now()
      lastCommit = Number.POSITIVE_INFINITY
      memberSince.clear()
      keptUpSince.clear()
    },
    look(at: JournalMember): void {
      const { group } = at
      const { commit, configuration } = group.status()
      const members = [...configuration.voters, ...configuration.learners]
      const isKeepingUp = (id: string): boolean =>
        id === group.self || (heardMs(at, id) < FRESH_MS && group.matchOf(id) >= lastCommit)
      for (const id of memberSince.keys()) if (!members.includes(id)) memberSince.delete(id)
      for (const id of keptUpSince.keys()) if (!members.includes(id) || !isKeepingUp(id)) keptUpSince.delete(id)
      for (const id of members) {
        if (!memberSince.has(id)) memberSince.set(id, now())
        if (isKeepingUp(id) && !keptUpSince.has(id)) keptUpSince.set(id, now())
      }
      lastCommit = commit
    },
  }
}

/**
 * @param level the highest feature level that this node knows
 * @param parts those of this node that decide something
 */
export const createVoterSelection = (
  port: Pick<Port, 'self' | 'clock' | 'log'>,
  settings: AutopilotSettings,
  level: number,
  parts: readonly JournalPart[] = [],
): VoterSelection => {
  const now = (): number => port.clock.monotonic()
  /** By peer: it has one store, and the one that it came with last. */
  const offers = new Map<string, VoterOffer & { readonly at: number }>()
  const attendance = createAttendance(now)
  let isChanging = false
  let refused = 0

  const offerBy = (member: string): VoterOffer | undefined => {
    const offer = offers.get(peerOf(member))
    return offer?.member === member ? offer : undefined
  }
  const decide = ({ group, clock }: JournalMember, kind: string, input: Json): Promise<unknown> => {
    const facts = { session: 0, serial: 0, acked: 0, at: clock.now(), by: port.self.id }
    return group.propose(encodeLoggedCommand({ ...facts, kind, input }))
  }

  /** The level that all voters have; the log says so once, and it only rises. */
  const raise = async (at: JournalMember, { voters }: Configuration): Promise<void> => {
    const { group, machine } = at
    const levelAt = (id: string): number => (id === group.self ? level : (offerBy(id)?.level ?? 0))
    const common = Math.min(...voters.map(levelAt))
    const now = featureLevelOf(machine.records.get(FEATURE_LEVEL_KEY)?.value)
    if (common > now) await decide(at, raiseLevel.name, { level: common })
    else if (now >= PARTS_LEVEL) await agreeParts(at, voters, now)
  }

  /** The same for a part of this node: its commands are taken once every voter has it. One at a time. */
  const agreeParts = async (at: JournalMember, voters: readonly string[], featureLevel: number): Promise<void> => {
    const { group, machine } = at
    const { parts: agreed } = machine.records
    for (const part of parts) {
      const levelAt = (id: string): number =>
        id === group.self ? part.level : (offerBy(id)?.parts?.get(part.name) ?? 0)
      const common = Math.min(...voters.map(levelAt))
      const now = agreed.agreed(part.name)?.level ?? 0
      if (common <= now || (now === 0 && agreed.levels().size >= MAX_AGREED_PARTS)) continue
      // Not before every voter knows what a collection is.
      if (part.maxCollectionBytes !== undefined && featureLevel < COLLECTIONS_LEVEL) continue
      port.log.info(`every voter has ${part.name}@${common}`, { part: part.name })
      const { name, maxBytes, maxCollectionBytes } = part
      const rooms = { maxBytes, ...(maxCollectionBytes !== undefined && { maxCollectionBytes }) }
      return void (await decide(at, agreePart.name, { part: name, level: common, ...rooms }))
    }
  }

  /** Whether a member could follow what this journal has of parts. A voter that cannot is put out by what it says itself. */
  const hasParts = ({ group, machine }: JournalMember, member: string): boolean => {
    const agreed = machine.records.parts.levels()
    if (agreed.size === 0 || member === group.self) return true
    const its = offerBy(member)?.parts
    return [...agreed].every(([name, { level: needed }]) => (its?.get(name) ?? 0) >= needed)
  }

  const step = async (at: JournalMember, configuration: Configuration, rules: VoterSelectionRules): Promise<void> => {
    const { isChangeProven, minLevel } = rules
    const least = Math.max(minLevel, featureLevelOf(at.machine.records.get(FEATURE_LEVEL_KEY)?.value))
    const advice = advise(
      {
        self: at.group.self,
        configuration,
        // Who knows less than all voters do by now could not follow them.
        volunteers: [...offers.values()].filter(
          (one) => one.leaving || (one.level >= least && hasParts(at, one.member)),
        ),
        lastHeardMs: (id) => attendance.heardMs(at, id),
        silentMs: (id) => attendance.silentMs(at, id),
        // Nobody votes who could not apply what is decided.
        keptUpMs: (id) => (hasParts(at, id) ? attendance.keptUpMs(id) : 0),
      },
      settings,
    )
    if (advice === undefined) return raise(at, configuration)
    if (!isChangeProven && countVoterChanges(configuration, advice.configuration) > 0) return
    port.log.info(`the seats change: ${advice.why}`, { epoch: at.group.status().term })
    await at.group.change(advice.configuration)
  }

  return {
    reset: attendance.began,
    addOffer(offer, configuration) {
      const peer = peerOf(offer.member)
      if (!offers.has(peer) && offers.size >= MAX_VOTER_OFFERS) {
        refused += 1
        return true
      }
      offers.set(peer, { ...offer, at: now() })
      const { voters, learners } = configuration
      return voters.length >= MOST_VOTERS && learners.length > 0 && !isMember(configuration, offer.member)
    },
    async advance(at, rules = { isChangeProven: true, minLevel: 1 }) {
      if (isChanging) return
      attendance.look(at)
      for (const [peer, { at: offeredAt }] of offers) if (now() - offeredAt > OFFER_LASTS_MS) offers.delete(peer)
      const { configuration, configurationIndex, commit } = at.group.status()
      // One change at a time.
      if (configurationIndex > commit) return
      isChanging = true
      try {
        await step(at, configuration, rules)
      } catch (error) {
        port.log.info('the seats could not be changed now', { error })
      } finally {
        isChanging = false
      }
    },
    counts: () => ({ offers: offers.size, refused }),
  }
}
