/**
 * Membership: what a token says about its holder, and the checks that need neither keys nor a clock of their own.
 *
 * Pure. The claims are those of a JWT (RFC 7519): an authority (iss) says that a peer (sub) belongs to
 * a mesh (aud) for a while (iat to exp, seconds), with roles and capabilities. Signature and encoding are node/'s
 * business. A token is bound to a peer id, which Noise proves: a copied token admits nobody else.
 */
import * as z from 'zod'
import type { ErrorReason } from '../error-reasons.ts'
import { ParleyError } from '../errors.ts'

/** The `typ` of a token's header; with it a token can never be taken for another kind of signed object (RFC 8725). */
export const TOKEN_TYPE = 'parley-membership+jwt'
export const MAX_TOKEN_BYTES = 4096
/** Tokens that one peer shows: two secrets during a change, twice over during a change of authority. */
export const MAX_TOKENS = 4
/** How far the clocks of two members may be apart. */
export const DEFAULT_SKEW_MS = 60_000
/** A token that claims more is refused, whoever signed it; members make theirs as long. */
export const MAX_LIFETIME_MS = 24 * 60 * 60 * 1000
/** The tolerance is at most this share of a token's life: a short one would otherwise live for twice its time. */
const LEEWAY_SHARE = 0.05

/** `task.submit`, every capability below a word as `task.*`, or all of them as `*`. */
export const Capability = z
  .string()
  .max(128)
  .regex(
    /^(\*|[A-Za-z0-9_:-]+(\.[A-Za-z0-9_:-]+)*(\.\*)?)$/,
    'use words of letters, digits, _ : - with dots between them, optionally ending in .*',
  )

const Seconds = z.number().int().nonnegative()
const Name = z.string().min(1).max(64)

/** Fields that a newer member adds are ignored. */
export const MembershipClaims = z
  .object({
    /** The authority's Ed25519 public key, 32 bytes in base64url. */
    iss: z.string().length(43),
    /** Peer id, base58. */
    sub: z.string().min(1).max(128),
    /** The mesh's name. */
    aud: Name,
    iat: Seconds,
    exp: Seconds,
    /** Id of this token: what a revocation names. */
    jti: z.string().min(1).max(128),
    roles: z.array(Name).max(32),
    caps: z.array(Capability).max(128),
    /** How many more times the holder may pass a part of it on. Nothing of this version writes or reads it. */
    depth: z.number().int().min(0).max(16).optional(),
  })
  .refine((claims) => claims.exp > claims.iat, { path: ['exp'], message: 'ends before it begins' })
export type MembershipClaims = z.output<typeof MembershipClaims>

/** Why a membership was refused; `details.reason` of the error. */
export type MembershipRefusal =
  | 'no-token'
  | 'unexpected-token'
  | 'too-many-tokens'
  | 'malformed'
  | 'signature'
  | 'wrong-mesh'
  | 'wrong-authority'
  | 'other-peer'
  | 'not-yet-valid'
  | 'expired'
  | 'too-long'
  | 'changed-secret'

/** A refusal as the error that both sides see. */
export const membershipError = (
  reason: MembershipRefusal,
  message: string,
  hint: string,
  cause?: unknown,
): ParleyError =>
  new ParleyError('SEC001', message, {
    hint,
    details: { reason: reason satisfies ErrorReason<'SEC001'> },
    ...(cause === undefined ? {} : { cause }),
  })

export interface MembershipCheck {
  /** Who shows the token, proven by Noise. */
  peer: string
  mesh: string
  /** Public keys, base64url, of the authorities that this node accepts. */
  authorities: readonly string[]
  nowMs: number
  /** Most tolerance between the issuer's clock and ours; 60 s unless told. */
  skewMs?: number
  /** Longest life that a token may claim; 24 h unless told. */
  maxLifetimeMs?: number
}

const lifeMs = ({ iat, exp }: MembershipClaims): number => (exp - iat) * 1000

/** Tolerance between two clocks for this token, milliseconds. */
export const leewayMs = (claims: MembershipClaims, skewMs = DEFAULT_SKEW_MS): number =>
  Math.min(skewMs, lifeMs(claims) * LEEWAY_SHARE)

/** How long the membership lasts from now on, tolerance included; the token was checked. Milliseconds. */
export const remainingMs = (claims: MembershipClaims, nowMs: number, skewMs?: number): number =>
  Math.min(claims.exp * 1000 - nowMs, lifeMs(claims)) + leewayMs(claims, skewMs)

const CLOCKS = 'compare the clocks of both machines'

/** @returns the SEC001 that says why these claims do not admit the peer; undefined where they do */
export const checkMembership = (claims: MembershipClaims, check: MembershipCheck): ParleyError | undefined => {
  const { peer, mesh, authorities, nowMs, maxLifetimeMs = MAX_LIFETIME_MS } = check
  const skewMs = leewayMs(claims, check.skewMs)
  const text = (value: string): string => JSON.stringify(value)
  if (claims.aud !== mesh) {
    return membershipError(
      'wrong-mesh',
      `the membership token is for mesh ${text(claims.aud)}, this is mesh ${text(mesh)}`,
      'give both nodes the same mesh name, or join another address',
    )
  }
  if (!authorities.includes(claims.iss)) {
    return membershipError(
      'wrong-authority',
      'the membership token is for another secret or mesh',
      'start both nodes with the same secret and the same mesh name',
    )
  }
  if (claims.sub !== peer) {
    return membershipError(
      'other-peer',
      `the membership token belongs to peer ${claims.sub}, peer ${peer} shows it`,
      'each node makes its own token: do not copy tokens or data directories between nodes',
    )
  }
  // With the check below that also bounds how far its end may lie ahead of now.
  if (lifeMs(claims) > maxLifetimeMs) {
    return membershipError(
      'too-long',
      `the membership token claims ${Math.ceil(lifeMs(claims) / 1000)} s, at most ${maxLifetimeMs / 1000} s are accepted`,
      'let the node make its own tokens: none of this project makes such a one',
    )
  }
  const earlyMs = claims.iat * 1000 - skewMs - nowMs
  if (earlyMs > 0) {
    return membershipError(
      'not-yet-valid',
      `the membership token is valid only in ${Math.ceil(earlyMs / 1000)} s`,
      CLOCKS,
    )
  }
  const lateMs = nowMs - skewMs - claims.exp * 1000
  if (lateMs >= 0) {
    const seconds = Math.floor((nowMs - claims.exp * 1000) / 1000)
    return membershipError('expired', `the membership token ended ${seconds} s ago`, `show a fresh token, or ${CLOCKS}`)
  }
  return undefined
}

/**
 * Whether the holder of `caps` may do `needed`: by name, by `*`, or by a prefix as in `task.*`, which covers
 * `task.submit` and `task.control.pause` and `task.control.*`, not `task` itself and not `tasks.submit`.
 */
export const hasCapability = (caps: readonly string[], needed: string): boolean =>
  caps.some(
    (held) => held === '*' || held === needed || (held.endsWith('.*') && needed.startsWith(held.slice(0, -'*'.length))),
  )
