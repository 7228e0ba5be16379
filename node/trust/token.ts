/**
 * Membership tokens as compact JWS (RFC 7515, EdDSA over Ed25519 by RFC 8037).
 *
 * Guarantees: exactly one algorithm and one token type are accepted (RFC 8725), and one spelling of a
 * token; what is larger than 4 KiB is not parsed; whatever a peer sends, the only error that comes out is a ParleyError
 * SEC001 with the reason.
 */
import * as base64url from 'jose/base64url'
import { decodeProtectedHeader } from 'jose/decode/protected_header'
import { CompactSign } from 'jose/jws/compact/sign'
import { compactVerify } from 'jose/jws/compact/verify'
import * as z from 'zod'
import { ParleyError } from '../../protocols/errors.ts'
import {
  checkMembership,
  MAX_TOKEN_BYTES,
  MembershipClaims,
  membershipError,
  TOKEN_TYPE,
} from '../../protocols/security/membership-claims.ts'
import { readJsonText } from '../../protocols/wire/payload/payload-bounds.ts'
import type { Authority, AuthorityKey } from './secret.ts'

const ALGORITHM = 'EdDSA'
/** Base64url without padding and in its one spelling: the last of 86 characters carries 2 bits, the other 4 are zero. */
const COMPACT_JWS = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{85}[AQgw]$/
const Header = z.object({ alg: z.literal(ALGORITHM), typ: z.literal(TOKEN_TYPE) })

/** Whom a token must be for, and when. */
export interface TokenBearer {
  peer: string
  mesh: string
  nowMs: number
  /** Tolerance between two clocks; 60 s unless told. */
  skewMs?: number
}

/**
 * A token for these claims, signed by the authority, which is their issuer.
 * @throws MSG001 for claims that no member would accept
 */
export const issueToken = async (authority: Authority, claims: Omit<MembershipClaims, 'iss'>): Promise<string> => {
  const checked = MembershipClaims.safeParse({ ...claims, iss: authority.id })
  if (!checked.success) {
    throw new ParleyError('MSG001', `a membership token cannot say this: ${z.prettifyError(checked.error)}`, {
      hint: 'the claims and their bounds are in protocols/security/membership-claims.ts',
    })
  }
  return new CompactSign(new TextEncoder().encode(JSON.stringify(checked.data)))
    .setProtectedHeader({ alg: ALGORITHM, typ: TOKEN_TYPE })
    .sign(authority.privateKey)
}

const malformed = (why: string, cause?: unknown): ParleyError =>
  membershipError(
    'malformed',
    `the membership token is not usable: ${why}`,
    'update the older of the two nodes, or look for a program that is no node of this mesh',
    cause,
  )

/** What the token says, before anyone has checked the signature. */
const readClaims = (token: string): MembershipClaims => {
  if (token.length > MAX_TOKEN_BYTES) throw malformed(`it has ${token.length} bytes, at most ${MAX_TOKEN_BYTES}`)
  if (!COMPACT_JWS.test(token)) throw malformed('it is no compact JWS with a signature of 64 bytes')
  let header: unknown
  let payload: unknown
  try {
    header = decodeProtectedHeader(token)
    payload = readJsonText(
      new TextDecoder('utf-8', { fatal: true }).decode(base64url.decode(token.split('.')[1] ?? '')),
    )
  } catch (error) {
    throw malformed('it is no compact JWS', error)
  }
  if (!Header.safeParse(header).success) throw malformed(`its header is not of type ${TOKEN_TYPE} with ${ALGORITHM}`)
  const claims = MembershipClaims.safeParse(payload)
  if (!claims.success) {
    const fields = claims.error.issues.map((issue) => issue.path.join('.') || 'claims')
    throw malformed(`wrong ${[...new Set(fields)].slice(0, 10).join(', ')}`)
  }
  return claims.data
}

/**
 * The claims of a token that one of the authorities signed for this peer, mesh and time.
 * The cheap checks come first; until the signature is checked they decide only which refusal the peer reads.
 * @throws SEC001 with `details.reason`
 */
export const verifyToken = async (
  token: string,
  authorities: readonly AuthorityKey[],
  bearer: TokenBearer,
): Promise<MembershipClaims> => {
  const claims = readClaims(token)
  const refusal = checkMembership(claims, { ...bearer, authorities: authorities.map(({ id }) => id) })
  const authority = authorities.find(({ id }) => id === claims.iss)
  if (refusal !== undefined || authority === undefined) throw refusal ?? malformed('its issuer is not known')
  try {
    await compactVerify(token, authority.publicKey, { algorithms: [ALGORITHM] })
  } catch (error) {
    throw membershipError(
      'signature',
      'the membership token is not signed by the authority that it names',
      'start both nodes with the same secret and the same mesh name',
      error,
    )
  }
  return claims
}
