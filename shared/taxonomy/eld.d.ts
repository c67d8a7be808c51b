/** The package has types, but its export map hides them from bundler resolution. */
declare module "eld/extrasmall" {
  export const eld: { detect(text: string): { readonly language: string; isReliable(): boolean } };
}
