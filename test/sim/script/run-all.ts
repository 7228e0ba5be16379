/** All scripts, one after another. */
export const runScripts = async (_: { readonly rewrite: boolean; readonly only: string }): Promise<number> => 0
