/**
 * Types of the clients that address more than one peer.
 */
import type { ZodType, z } from 'zod'
import type { AnyProtocol, CallOptions, Client } from '../protocols/define.ts'
import type { ParleyError } from '../protocols/errors.ts'

export interface AnyOptions extends CallOptions {
  /** A peer failed and the next one is asked. */
  onFailover?: (peer: string, error: ParleyError) => void
}

/** As a client of one peer, but the mesh chooses who answers. */
export type AnyClient<P extends AnyProtocol> = {
  [K in keyof Client<P>]: Client<P>[K] extends (input: infer I, options?: CallOptions) => infer R
    ? (input: I, options?: AnyOptions) => R
    : never
}

export interface ScatterOptions extends CallOptions {
  /** Ends after this many answers that are no errors. */
  count?: number
  /** Ends when nothing came for this long, milliseconds. */
  stallMs?: number
}

/** One answer of a scatter-gather: a value, or why there is none. */
export type Reply<T> =
  | { readonly peer: string; readonly name: string; readonly value: T }
  | { readonly peer: string; readonly name: string; readonly error: unknown }

/** The unary methods; answers as they come. */
export type AllClient<P extends AnyProtocol> = {
  [K in keyof P['methods'] as P['methods'][K] extends { response: ZodType } ? K : never]: P['methods'][K] extends {
    response: infer R extends ZodType
  }
    ? (
        input: z.input<P['methods'][K]['request']>,
        options?: ScatterOptions,
      ) => AsyncIterableIterator<Reply<z.output<R>>>
    : never
}
