/**
 * Credentials: what two nodes show each other right after connecting, and again before their memberships run out.
 *
 * They hold tokens, the name of the mesh, and the time by its sender's clock. Whoever is not let in is told why.
 * Wire id: `/parley/admission/1`; `ended` came with 1.1.0, and older nodes do without.
 */
import type { Connection } from '@libp2p/interface'
import * as z from 'zod'
import { defineProtocol } from '../../protocols/define.ts'
import type { ErrorReason } from '../../protocols/error-reasons.ts'
import { isParleyError, ParleyError } from '../../protocols/errors.ts'
import type { Clock } from '../../protocols/port.ts'
import { DEFAULT_SKEW_MS } from '../../protocols/security/membership-claims.ts'
import type { Membership, Trust } from './trust.ts'

/** The last millisecond that a date can name. */
const MAX_TIME_MS = 8_640_000_000_000_000

export const Credentials = z.object({
  tokens: z.array(z.string().max(4096)).max(4),
  mesh: z.string().max(64),
  name: z.string().max(64),
  incarnation: z.number().int().nonnegative(),
  /** Milliseconds since 1970 by the sender's clock: the skew is shown, never trusted. */
  nowMs: z.number().min(-MAX_TIME_MS).max(MAX_TIME_MS),
  /** Of the founded mesh that it belongs to; absent before it belongs to one. */
  meshId: z.string().max(64).optional(),
})
export type Credentials = z.output<typeof Credentials>

export const admissionProtocol = defineProtocol({
  name: 'admission',
  version: '1.1.0',
  methods: {
    admit: { request: Credentials, response: Credentials, timeoutMs: 5000, priority: 'critical' },
    /** The membership of the peer that gets it is over, and so is the connection in a moment. */
    ended: { request: z.object({ reason: z.string().max(32) }), oneWay: true, priority: 'critical' },
  },
})

export interface CredentialExchangeDeps {
  trust: Trust
  clock: Pick<Clock, 'now'>
  self: { name: string; mesh: string; incarnation: number }
  /** Of the founded mesh that this node belongs to. */
  meshId(): string | undefined
  /** It keeps nothing of that mesh, and nobody of it who coordinates is left: another one may take it in. */
  mayLeaveMesh(): boolean
  timeoutMs: number
  /** True for an address of this machine's loopback. */
  isLoopback(address: string): boolean
  /** Why this peer is not let in for a while, whatever it shows. */
  refusalOf(peer: string): ParleyError | undefined
  /** Why nobody new is admitted, where this node's own clock is wrong. */
  ownClockProblem(): string | undefined
}

export interface CredentialExchange {
  own(): Promise<Credentials>
  /** @throws SEC001 for a peer that is not let in, or whose membership is not renewed */
  check(theirs: Credentials, connection: Connection, isNew: boolean): Promise<Membership>
}

/** Refusals that have to do with the time. */
const BY_TIME: readonly unknown[] = ['not-yet-valid', 'expired', 'clocks']
/** A difference below this explains no refusal. */
const NOTABLE_SKEW_MS = 1_000

const sec001 = (
  reason: ErrorReason<'SEC001'>,
  message: string,
  hint: string,
  more: Record<string, unknown> = {},
): ParleyError => {
  const details = { reason, ...more }
  return new ParleyError('SEC001', message, { hint, details })
}

/** What to do about two meshes that do not merge. */
export const FOUNDED_APART =
  'two founded meshes do not merge. To keep both, give one another name (--mesh) or secret; to bring a node over, stop it and say parley store adopt --node NAME --mesh-id ID, with the mesh id that parley coordinator status shows at the other'

export const createCredentialExchange = (deps: CredentialExchangeDeps): CredentialExchange => {
  const { trust, clock, self } = deps

  /** A refusal for its time says how far the clocks are apart; any other error stays as it is. */
  const byClocks = (error: unknown, name: string, skewMs: number): unknown => {
    if (!isParleyError(error, 'SEC001') || !BY_TIME.includes(error.details.reason)) return error
    if (Math.abs(skewMs) < NOTABLE_SKEW_MS) return error
    const ahead = skewMs > 0 ? name : self.name
    const seconds = Math.round(Math.abs(skewMs) / 1000)
    return new ParleyError(
      'SEC001',
      `${error.message}: the clocks of ${self.name} and ${name} differ by ${seconds} s, and that of ${ahead} is ahead`,
      {
        hint: `set both clocks, by NTP for one; ${DEFAULT_SKEW_MS / 1000} s of difference are tolerated`,
        details: { ...error.details, skewMs: Math.round(skewMs) },
        cause: error,
      },
    )
  }

  const checkMesh = (theirs: Credentials, connection: Connection): void => {
    if (trust.mode === 'open' && !deps.isLoopback(connection.remoteAddr.toString()))
      throw sec001(
        'not-loopback',
        'a mesh without a secret takes connections over loopback only',
        'give all its nodes one secret; `parley secret` makes one',
      )
    if (theirs.mesh !== self.mesh)
      throw sec001(
        'wrong-mesh',
        `this is the mesh ${self.mesh}, not ${theirs.mesh}`,
        'check the addresses to join, or the mesh name',
      )
    const barred = deps.refusalOf(connection.remotePeer.toString())
    if (barred !== undefined) throw barred
  }

  /** Asked of members: who has another secret is told that. */
  const checkFounding = (theirs: Credentials): void => {
    const ours = deps.meshId()
    if (ours !== undefined && theirs.meshId !== undefined && ours !== theirs.meshId && !deps.mayLeaveMesh())
      throw sec001(
        'founded-apart',
        `${theirs.name} and ${self.name} are of meshes that were founded apart`,
        FOUNDED_APART,
        { ours, theirs: theirs.meshId },
      )
  }

  /** A token that is valid beside a clock that is far off: one of the two is not what it seems. */
  const checkClocks = (skewMs: number, isNew: boolean): void => {
    if (trust.mode !== 'secret') return
    const toleratedMs = DEFAULT_SKEW_MS + deps.timeoutMs
    // By its clock our token is not valid yet: it would refuse us in a moment, and come again and again.
    if (skewMs < -toleratedMs)
      throw sec001(
        'clocks',
        'the membership token of this node would not be valid yet',
        'set both clocks, by NTP for one',
      )
    if (skewMs > toleratedMs)
      throw sec001('clocks', 'the peer tells another time than its token', 'set its clock, by NTP for one')
    const wrong = isNew ? deps.ownClockProblem() : undefined
    if (wrong !== undefined) throw sec001('own-clock', wrong, `set the clock of ${self.name}, by NTP for one`)
  }

  return {
    async own() {
      const meshId = deps.meshId()
      return {
        tokens: await trust.tokens(),
        mesh: self.mesh,
        name: self.name,
        incarnation: self.incarnation,
        nowMs: clock.now(),
        // Who may move says nothing of where it was, or nobody else would let it in.
        ...(meshId !== undefined && !deps.mayLeaveMesh() && { meshId }),
      }
    },
    async check(theirs, connection, isNew) {
      checkMesh(theirs, connection)
      const skewMs = theirs.nowMs - clock.now()
      let membership: Membership
      try {
        membership = await trust.verify(theirs.tokens, connection.remotePeer.toString())
        checkClocks(skewMs, isNew)
      } catch (error) {
        throw byClocks(error, theirs.name, skewMs)
      }
      checkFounding(theirs)
      return membership
    },
  }
}
