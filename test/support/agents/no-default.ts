/** A module that exports no agent. */
export const agent = { offers: [] }
