/**
 * What one view alone asks for, again and again while it is shown. State: the last answer, while the view is on the page; it
 * stays until the answer to another question is there, so that nothing flickers while somebody types.
 */
import { useEffect, useRef, useState } from 'preact/hooks'
import * as store from '../state/page-state.ts'
import { startPoll } from './live-updates.ts'
import type { Poll } from './poll.ts'

const PERIOD_MS = 3_000
const LIMIT_MS = 8_000

export interface ProblemText {
  readonly detail: string
  readonly hint: string
}

export const problemTextOf = async (response: Response): Promise<ProblemText> => {
  const problem = (await response.json().catch(() => ({}))) as Partial<ProblemText>
  return { detail: problem.detail ?? `the node answered ${response.status}`, hint: problem.hint ?? '' }
}

export const keyHeaders = (): Record<string, string> =>
  store.key.value === '' ? {} : { authorization: `Bearer ${store.key.value}` }

export interface Polled<T> {
  readonly value: T | undefined
  readonly failure: ProblemText | undefined
  /** The value answers what was asked before. */
  readonly isOld: boolean
  again(): void
}

/** @param sign of what is asked for: it is asked anew when this changes */
export const usePolled = <T>(path: string, sign?: unknown): Polled<T> => {
  const [state, setState] = useState<{ path?: string; value?: T; failure?: ProblemText }>({})
  const asking = useRef<Poll | undefined>(undefined)
  const known = useRef(sign)
  const key = store.key.value
  useEffect(() => {
    const stop = new AbortController()
    const ask = async (): Promise<void> => {
      try {
        const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(LIMIT_MS)])
        const response = await fetch(path, { signal, headers: keyHeaders() })
        const next = response.ok ? { value: (await response.json()) as T } : { failure: await problemTextOf(response) }
        if (!stop.signal.aborted) setState({ path, ...next })
      } catch {
        // The page says that the node does not answer; what was shown stays.
      }
    }
    const one = startPoll(PERIOD_MS, ask)
    asking.current = one
    return () => {
      one.stop()
      stop.abort()
    }
  }, [path, key])
  useEffect(() => {
    if (known.current !== sign) asking.current?.soon()
    known.current = sign
  }, [sign])
  return {
    value: state.value,
    failure: state.failure,
    isOld: state.path !== path,
    again: () => asking.current?.soon(),
  }
}
