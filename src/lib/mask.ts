/** Hides user and password of every URL in a text: `tcp://ci:secret@host` → `tcp://***@host`. Rather too much than too little. */
export const maskCredentials = (text: string): string => text.replace(/(:\/\/)[^\s,"']*@/g, '$1***@')
