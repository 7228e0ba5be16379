/** Memberships that should have ended: too long, of a secret that was changed, expired. Issue 16, A4 and A5. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Connection } from '@libp2p/interface'
import { makeSecret } from '../../../node/index.ts'
import type { Attack, Findings } from '../attack.ts'
import { grown, type Member } from '../members/member.ts'
import { openTown, type Town } from '../members/town.ts'
import type { Attacker } from '../raw/attacker.ts'
import { batchBytes, gossipTopic } from '../raw/signed.ts'

const PROBE = '/parley/probe/1'
const WORD = 'attack'
const YEAR_3000_S = 32_503_680_000
const DAY_S = 86_400
/** After a change or an end, until nothing of it may be left. */
const GRACE_MS = 3_000
/** A node of the new secret has twice the time of an admission, 10 s. */
const PROVE_MS = 15_000
const LIVES_S = 6
const TRIES = 5

const nowS = (): number => Math.floor(Date.now() / 1_000)

/** Gossip takes a moment to know whom to send to. */
const hearGossip = (attacker: Attacker, mesh: string): { count(): number } => {
  let heard = 0
  const topic = gossipTopic(mesh, WORD)
  attacker.libp2p.services.gossip.subscribe(topic)
  attacker.libp2p.services.gossip.addEventListener('gossipsub:message', ({ detail }) => {
    if (detail.msg.topic === topic) heard += 1
  })
  return { count: () => heard }
}

let sequence = 0
const publishAs = async (attacker: Attacker, mesh: string): Promise<void> => {
  sequence += 1
  const events = [{ topic: `${WORD}.tick`, data: { sentAtMs: 0 } }]
  const batch = await batchBytes(attacker.signer, { mesh, word: WORD, epoch: 1, first: sequence, events })
  await attacker.libp2p.services.gossip.publish(gossipTopic(mesh, WORD), batch).catch(() => {})
}

const callAs = async (attacker: Attacker, connection: Connection): Promise<boolean> => {
  try {
    const link = await attacker.link(connection, PROBE)
    const { payload } = await link.ask('echo', JSON.stringify({ text: 'still here' }), { limitMs: 1_000 })
    return payload !== undefined
  } catch {
    return false
  }
}

/** What somebody whose membership ended still can. */
const stillCan = async (
  { mesh }: Town,
  { attacker, connection, victim }: { attacker: Attacker; connection: Connection; victim: Member },
  gossip: { count(): number },
): Promise<{ reached: string[]; tried: Record<string, number> }> => {
  let answered = 0
  const heardBefore = gossip.count()
  for (let i = 0; i < TRIES; i += 1) {
    if (await callAs(attacker, connection)) answered += 1
    await publishAs(attacker, mesh)
    await victim.ask('publish', `after ${i}`)
    await delay(200)
  }
  const heard = gossip.count() - heardBefore
  const wasHeard = (await victim.ask('heard')).sources.includes(attacker.id)
  return {
    tried: { calls: TRIES, events: TRIES },
    reached: [
      ...(answered > 0 ? [`${answered} of ${TRIES} calls were answered`] : []),
      ...(heard > 0 ? [`it heard ${heard} of ${TRIES} events`] : []),
      ...(wasHeard ? ['its events were heard'] : []),
      ...(connection.status === 'open' ? ['its connection is still open'] : []),
    ],
  }
}

/** They count from here on. */
const prove = async (attacker: Attacker, connection: Connection, victim: Member, mesh: string): Promise<void> => {
  if (!(await callAs(attacker, connection))) throw new Error('the attacker could not call before its membership ended')
  for (let i = 0; i < 20; i += 1) {
    await publishAs(attacker, mesh)
    await delay(100)
    if ((await victim.ask('heard')).sources.includes(attacker.id)) return
  }
  throw new Error('the attacker was not heard before its membership ended')
}

const yearThreeThousand: Attack = {
  name: 'token-year-3000',
  line: 'A4',
  by: 'member',
  about: 'tokens that end in the year 3000, in a week, or that began long ago',
  async play() {
    const town = await openTown()
    try {
      const victim = await town.add('victim')
      const refusedBefore = await victim.refusals()
      const claims = {
        'until the year 3000': { exp: YEAR_3000_S },
        'for a week': { exp: nowS() + 7 * DAY_S },
        'since 1970': { iat: 0, exp: nowS() + 3_600 },
        'begun tomorrow': { iat: nowS() + DAY_S, exp: nowS() + DAY_S + 3_600 },
      }
      const reached: string[] = []
      for (const [what, claim] of Object.entries(claims)) {
        const attacker = await town.attacker()
        const connection = await attacker.dial(victim.address())
        const { refused } = await attacker.admit(connection, town.secret, claim)
        if (refused === undefined) reached.push(`a token ${what} was accepted`)
      }
      return {
        tried: { tokens: Object.keys(claims).length },
        refused: grown(refusedBefore, await victim.refusals()),
        reached,
      }
    } finally {
      await town.end()
    }
  },
}

const formerMember: Attack = {
  name: 'former-member',
  line: 'A4',
  by: 'former member',
  about: 'a member stays connected through both rounds of a change of the secret, and goes on',
  async play(): Promise<Findings> {
    const town = await openTown()
    try {
      const victim = await town.add('victim')
      const attacker = await town.attacker()
      const connection = await attacker.member(victim.address(), town.secret)
      const gossip = hearGossip(attacker, town.mesh)
      await prove(attacker, connection, victim, town.mesh)
      const secret = makeSecret()
      for (const round of [[secret, town.secret] as [string, string], secret]) {
        const refused = await victim.ask('reload', { secret: round })
        if (refused !== undefined) throw new Error(`the secret could not be changed: ${refused}`)
        await delay(GRACE_MS)
      }
      // Whoever has the new secret has a few seconds to show it.
      const askedAt = performance.now()
      while (connection.status === 'open' && performance.now() - askedAt < PROVE_MS) await delay(100)
      const untilEndedMs = performance.now() - askedAt
      await victim.ask('heard')
      const found = await stillCan(town, { attacker, connection, victim }, gossip)
      const back = await attacker
        .dial(victim.address(), true)
        .then((again) => attacker.admit(again, town.secret))
        .catch(() => ({ refused: 'no connection' }))
      return {
        tried: { ...found.tried, 'ms until it was ended': Math.round(untilEndedMs + GRACE_MS) },
        refused: await victim.refusals(),
        reached: [...found.reached, ...(back.refused === undefined ? ['it was let in again with the old secret'] : [])],
      }
    } finally {
      await town.end()
    }
  },
}

const expired: Attack = {
  name: 'expired-token',
  line: 'A5',
  by: 'former member',
  about: `a membership of ${LIVES_S} s is over: calls, events in both directions, the connection`,
  async play() {
    const town = await openTown()
    try {
      const victim = await town.add('victim')
      const attacker = await town.attacker()
      const connection = await attacker.dial(victim.address())
      const exp = nowS() + LIVES_S
      const { refused } = await attacker.admit(connection, town.secret, { exp })
      if (refused !== undefined) throw new Error(`the attacker is not let in: ${refused}`)
      const gossip = hearGossip(attacker, town.mesh)
      await prove(attacker, connection, victim, town.mesh)
      await delay(Math.max(0, exp * 1_000 - Date.now()) + GRACE_MS)
      await victim.ask('heard')
      const found = await stillCan(town, { attacker, connection, victim }, gossip)
      return { ...found, refused: await victim.refusals() }
    } finally {
      await town.end()
    }
  },
}

export const memberships: readonly Attack[] = [yearThreeThousand, formerMember, expired]
