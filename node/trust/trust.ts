/**
 * The trust of one node: the membership tokens that it shows, and whom it lets in.
 *
 * State: the authorities derived from this node's secrets, which a reload replaces. Two secrets are accepted during a
 * change: a node shows a token under each, and of those that verify the one counts whose secret this node names first.
 * Without a secret the mesh is open, and takes only who shows no token: a node with a secret and one without refuse each
 * other with a reason on both sides. How long a membership lasts is settled when its token is checked, by this node's
 * clock, and counted by the monotonic one from then on.
 */
import { randomUUID } from 'node:crypto'
import { isParleyError, type ParleyError } from '../../protocols/errors.ts'
import type { Clock } from '../../protocols/port.ts'
import {
  DEFAULT_SKEW_MS,
  MAX_LIFETIME_MS,
  MAX_TOKENS,
  type MembershipRefusal,
  membershipError,
  remainingMs,
} from '../../protocols/security/membership-claims.ts'
import { type Authority, deriveAuthority } from './secret.ts'
import { issueToken, verifyToken } from './token.ts'

/** A peer that was let in, and what it may do. */
export interface Membership {
  readonly peer: string
  readonly mesh: string
  /** The authority that vouches for it; null in a mesh without a secret. */
  readonly issuer: string | null
  readonly tokenId: string | null
  readonly roles: readonly string[]
  /** `*` for all. */
  readonly caps: readonly string[]
  /** How long it lasts from its check on, milliseconds; the peer shows a fresh token before. Infinity in an open mesh. */
  readonly lastsMs: number
  /** The same as a time of the monotonic clock. */
  readonly endsAt: number
}

export interface TrustOptions {
  mesh: string
  /** This node's peer id. */
  self: string
  /** None: open. The first one signs first; a second one is accepted during a change. */
  secrets: readonly string[]
  clock: Clock
  /** Validity of the tokens that this node makes; 24 h unless told, and no more. */
  lifetimeMs?: number
  skewMs?: number
}

export interface TrustFacts {
  mode: Trust['mode']
  mesh: string
  /** Public keys; never a secret. */
  authorities: string[]
  lifetimeMs: number
  note: string
}

export interface Trust {
  readonly mode: 'secret' | 'open'
  /** Fresh tokens, one for each accepted secret, the first secret's first; none in an open mesh. */
  tokens(): Promise<string[]>
  /** @throws SEC001, with `details.reason`, for a peer that is not let in */
  verify(tokens: readonly string[], peer: string): Promise<Membership>
  /** Whether tokens of this issuer admit now; null in an open mesh. */
  accepts(issuer: string | null): boolean
  describe(): TrustFacts
  /**
   * Other secrets from now on. Who was admitted by one that is gone is somebody else's business (trust/memberships.ts).
   * @returns undefined where that needs a restart: a mesh with a secret never becomes one without, nor the other way
   */
  prepare(secrets: readonly string[]): Promise<(() => void) | undefined>
}

/** Of several refusals the one that says most: a token of our authority that is too old says more than a foreign one. */
const MOST_TELLING: readonly unknown[] = [
  'expired',
  'not-yet-valid',
  'too-long',
  'other-peer',
  'signature',
  'wrong-mesh',
  'wrong-authority',
  'malformed',
] satisfies MembershipRefusal[]

const mostTelling = (refusals: readonly ParleyError[]): ParleyError => {
  const rank = (error: ParleyError): number => MOST_TELLING.indexOf(error.details.reason)
  const [first] = refusals.toSorted((a, b) => rank(a) - rank(b))
  return first ?? membershipError('no-token', 'there is no membership token', 'show one for each secret')
}

const openTrust = (options: TrustOptions): Trust => ({
  mode: 'open',
  tokens: async () => [],
  async verify(tokens, peer) {
    if (tokens.length > 0) {
      throw membershipError(
        'unexpected-token',
        'this node runs without a secret, you sent a token for a mesh that has one',
        'start both nodes with the same secret, or both without',
      )
    }
    return {
      peer,
      mesh: options.mesh,
      issuer: null,
      tokenId: null,
      roles: [],
      caps: ['*'],
      lastsMs: Number.POSITIVE_INFINITY,
      endsAt: Number.POSITIVE_INFINITY,
    }
  },
  accepts: (issuer) => issuer === null,
  describe: () => ({
    mode: 'open',
    mesh: options.mesh,
    authorities: [],
    lifetimeMs: 0,
    note: 'no secret: every process on this machine may join; nothing beyond loopback can',
  }),
  prepare: async (secrets) => (secrets.length === 0 ? () => {} : undefined),
})

const authoritiesOf = (secrets: readonly string[], mesh: string): Promise<Authority[]> =>
  Promise.all([...new Set(secrets)].map((secret) => deriveAuthority(secret, mesh)))

const secretTrust = (options: TrustOptions, given: readonly Authority[]): Trust => {
  let authorities = given
  const { mesh, self, clock, skewMs = DEFAULT_SKEW_MS } = options
  const lifetimeMs = Math.min(options.lifetimeMs ?? MAX_LIFETIME_MS, MAX_LIFETIME_MS)

  const ownToken = (authority: Authority): Promise<string> => {
    const iat = Math.floor(clock.now() / 1000)
    // Everyone who knows the secret is equal: all capabilities, no roles.
    return issueToken(authority, {
      sub: self,
      aud: mesh,
      iat,
      exp: iat + Math.max(1, Math.floor(lifetimeMs / 1000)),
      jti: randomUUID(),
      roles: [],
      caps: ['*'],
    })
  }

  /** The first secret is the one that stays. */
  const rank = (issuer: string | null): number => {
    const at = authorities.findIndex(({ id }) => id === issuer)
    return at < 0 ? Number.POSITIVE_INFINITY : at
  }

  const check = (tokens: readonly string[]): void => {
    if (tokens.length === 0) {
      throw membershipError(
        'no-token',
        'this mesh needs a secret, and you sent no membership token',
        'start the node with the secret of this mesh',
      )
    }
    if (tokens.length > MAX_TOKENS) {
      throw membershipError(
        'too-many-tokens',
        `${tokens.length} tokens, at most ${MAX_TOKENS}`,
        'show one for each secret',
      )
    }
  }

  return {
    mode: 'secret',
    tokens: () => Promise.all(authorities.map(ownToken)),
    async verify(tokens, peer) {
      check(tokens)
      const refusals: ParleyError[] = []
      let best: Membership | undefined
      for (const token of tokens) {
        try {
          const nowMs = clock.now()
          const checkedAt = clock.monotonic()
          const claims = await verifyToken(token, authorities, { peer, mesh, nowMs, skewMs })
          if (best !== undefined && rank(best.issuer) <= rank(claims.iss)) continue
          const lastsMs = remainingMs(claims, nowMs, skewMs)
          best = {
            peer,
            mesh,
            issuer: claims.iss,
            tokenId: claims.jti,
            roles: claims.roles,
            caps: claims.caps,
            lastsMs,
            endsAt: checkedAt + lastsMs,
          }
        } catch (error) {
          if (!isParleyError(error)) throw error
          refusals.push(error)
        }
      }
      if (best === undefined) throw mostTelling(refusals)
      return best
    },
    accepts: (issuer) => Number.isFinite(rank(issuer)),
    describe: () => ({
      mode: 'secret',
      mesh,
      authorities: authorities.map(({ id }) => id),
      lifetimeMs,
      note: 'a shared secret: all members are equal, and none can be revoked without changing the secret',
    }),
    async prepare(secrets) {
      if (secrets.length === 0) return undefined
      const next = await authoritiesOf(secrets, mesh)
      return () => {
        authorities = next
      }
    },
  }
}

/**
 * The trust of one node. With a secret it takes about 0.1 s (scrypt) off the event loop: start it early, await it late.
 * Without one it accepts who shows no token; that the address is loopback is the caller's check.
 */
export const createTrust = async (options: TrustOptions): Promise<Trust> => {
  if (options.secrets.length === 0) return openTrust(options)
  return secretTrust(options, await authoritiesOf(options.secrets, options.mesh))
}
