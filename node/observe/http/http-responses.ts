/**
 * The responses of the debug endpoint: JSON and text, errors as problem details, all with the same headers.
 * Source: RFC 9457 (problem details), RFC 9110.
 */
import { STATUS_CODES } from 'node:http'

/** Nothing is stored, framed, guessed or read by another origin; there is no CORS header on purpose. */
export const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

export const respond = (
  body: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null,
  contentType: string,
  status = 200,
  headers: Record<string, string> = {},
): Response => new Response(body, { status, headers: { ...SECURITY_HEADERS, 'content-type': contentType, ...headers } })

export const jsonResponse = (value: unknown, status = 200): Response =>
  respond(JSON.stringify(value), 'application/json', status)

/** @param detail what is wrong with this request @param hint what to do next @param more facts for programs */
export const problemResponse = (
  status: number,
  detail: string,
  hint: string,
  headers?: Record<string, string>,
  more: { code?: string; reason?: string } = {},
): Response =>
  respond(
    JSON.stringify({ type: 'about:blank', title: STATUS_CODES[status] ?? 'Error', status, detail, hint, ...more }),
    'application/problem+json',
    status,
    headers,
  )
