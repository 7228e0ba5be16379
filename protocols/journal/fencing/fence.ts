/**
 * A fence says how new a decision is: term and index of its committed entry. Who receives an effect keeps the highest one
 * that it saw and refuses lower ones, so that a coordinator that was replaced can do nothing more
 * (Kleppmann, "How to do distributed locking", 2016). Pure.
 */
import * as z from 'zod'

export const FenceSchema = z.object({ term: z.int().nonnegative(), index: z.int().nonnegative() })
export type Fence = Readonly<z.output<typeof FenceSchema>>

export const NO_FENCE: Fence = { term: 0, index: 0 }

/** Negative where `a` is older. */
export const compareFences = (a: Fence, b: Fence): number => a.term - b.term || a.index - b.index
