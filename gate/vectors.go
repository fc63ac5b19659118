package gate

// The self-test's keys and what they have signed. The private keys are gone. The
// tokens are from 2027-01-15 to 2030-03-17; the self-test's clock stands between.

// selfTestModulus is the modulus of the RSA key, 2048 bits, base64url.
const selfTestModulus = `
28kQ1UIXQ3rQKVmgmLMXpA3Z_-i508-M1qNXsymNDTJBY8R_Qzvip2xlpQlQaRraBU1C5k4QuskpHpwp1GfKsHBxRCrOnJdx6-IBjymKs97Jlw
nDNcBbxGXo6LysK5XftFl1yEFkyXVglpbZuBLTBCz8IqjfguLDD4wXaUr0w2tZIknedn_oU2dvtxN8ES1S1bdfrEHuTos3Ztzi-I620UE20KFn
zTp43G935YHF9psbKiNEhKzxKeIOSbZ3LoXOM_dXKC7lBT82mYG2i4LayG1AxlVxDK8gjFVE1K6iw5_P7KIG3rjXYo_taYGZjNiNrZpC6Gfdma
b1Zs3I0W51ow`

// selfTestCurves are the other keys, as JWKs.
const selfTestCurves = `
	{"kty": "EC", "kid": "k", "crv": "P-256",
		"x": "Wn833mO0xpFKbBdiOHVxgPx-yNFaQ05Jkdw0FBl4RRA",
		"y": "jkABpcw-SyphIe9DtkETPGU7HRez3npFkzHwM1pe5Qo"},
	{"kty": "EC", "kid": "k", "crv": "P-384",
		"x": "7rLjwYHxxAInG85gRs-HYp1D5Nf5NNYPJXDmuQ7QRcZLUw9V33ej4EiO8BPT34or",
		"y": "wQEIHQNqVoTbvm-kkLwdE_6E-mBg5r2drKmCdE4ZlO9MAFpCd7oyFrpdYuPb8CIm"},
	{"kty": "EC", "kid": "k", "crv": "P-521",
		"x": "AeVEmx8KoFC4OZu6MmhNIoyRssTKqDrsr4e6V8yJffgKhTziFeyfZTNMCkuhy_xk_K_rsak4E_VLJuteT0tZZzS8",
		"y": "ALV9xX8pCTLcVwkNO63O5u650Ic9g3vNH7OWZzyF8X1xKCmhMaaeHVPoz26ZRY2Gu83icjuWInzmwvF_jDLrWia9"},
	{"kty": "OKP", "kid": "k", "crv": "Ed25519", "x": "vLrKqWa-LRA6cI6roDzrkgrb5wTaynDdrPL0tRuv-xU"}`

// selfTestPayload is what the tokens say.
const selfTestPayload = `{"iss":"https://selftest.invalid/","sub":"alice","aud":["api","x"],` +
	`"exp":1900000000,"iat":1800000000,"org":"org1","scope":"read write","roles":["admin"],"azp":"client"}`

// selfTestSignatures are by algorithm, base64url. The header is
// {"alg":ALGORITHM,"kid":"k","typ":"JWT"}.
var selfTestSignatures = map[string]string{
	"RS256": `
1gOhMSDV_xCtu9479gWqKPHzymth1cjJuOpbb5ihKLLxiTYntwabUcHrkzG2UBRGSPCzUauGzmWgBul1iMr07K0gJfGvfepqmDxwwKKR5HML-7
dTOJuH4tF4Gz0F6BIHUi_SZnG2uFFjrjKXQvVDX1-G1YmnNBKBfE3ugGVzqbhaMk5zOiOnWLDtzGn5-dgdnl6yv83EUmeYQVPlT7Mzr57MTG1Z
drW8I9abmNEa1bv0hsyIyk5fEDyXrMY0qrzmMPm0BxD35l_-rtr5u3_aSMOxS5EUwbR3Qvyk2xooVRLemtbj1vLK_p12c5ifyoq47jvyme7SAd
uGpXzQGAqU5A`,
	"RS384": `
g7uIPzfmyI6rkEje7brtXSG23LCMJSIhsDL555gsyzrMzottXb4A4VsmEW2cmPrdFmNsxlxgnTfVIDOQMYxqRdvqATJU4u6mFYBZOFqp9sygFI
svOLEBgd0Iw7cxCS0f1BtHCTT5ZB78EmkR2zwuqLounEV7RmHkmQJLel5Z7jK91hoH8LQWMOtstOTPavk6b3M6Ee1GCPP_cnBvq02E90Up9bzj
8Z-pUHsaPKdvh4khXA_4-94UDIV4zzVfY1_byzqNG_S5PWch7_tc-o42B47agmfjGxyvHc58bpKOBUo5UVJ2nP0lxr6hYArq1xLK9A2XASVTIP
Pws8OWHaRmhw`,
	"RS512": `
LkuIl4OsaZbThvHvq4C18nYBEULdbY2vhb6FYM74XlB3kocRbO6oqY7_t-hj8mNndYKiBU_gyDFtNN5dUpm3_Ip_6j1xzUnMt0GDiPpY-E99l6
UvIyqJWnq_sLx85q1KOs_IfE53cCJnEioQqDSvzKBQ1AbP5dvPVMbo8DcNQKSV_oBjcWHTAvESQWSUI-hVgQZV7V4OGkEMWs8Zh3Ki9Qmffaru
EruFZklVwfoZMwTsCTCB6YXWsxAEIoO63tSLgZLwr5WY0J1bchFwWVGZrGAlbOfqqxCbjGmMJ6fFqZhN2grdjPVWujv813bDdmSPc-c2mg_Jub
y65yriK7Yz9w`,
	"PS256": `
nF4eyTbLaDd4AF39LmMd6gZG6-ICS4M_XsFWXwdlMk81C25VMwpqYuAkv9xzFcIAeKF60AUKnFBgZJ23Ie2DoL1Mxknd10nUtOhwl2RFbGEOBl
pti0eebfr69qr9VPvT67VIN4BuaQtq-FXiBGHksSV7OdUrFJQp1jvuBBj_5PhmmbFgnvizmDnT33b6yCFSTcFbXKoD32r69vTQcH2-i1eEYLzD
WErHQRZkM6Pm0biU6mdiFOylhglbRyrBB-673Y9mvje2RTaDQplDVMn-yfo4fUNzConWu4RW2-P1Tf6BGcdqCkpJvAgshS02oFL5eWZKfnJwXh
ZGpMAwzYH17A`,
	"PS384": `
AYamY-eE4-V9w5W-NfWzjuA3gN6z8VHY05eNSTQIb80Tm644olGVqmgiXmedlyQ31CdjpieC4emahUHpWmvo8IqBX-5nWuNPU-ba0eO0E6xJdL
JBr7Ey2NLlaimu5TiNsW-HrhRc7SXrOx3I1CkchaESAKGavzQjCXln_fxOlXdAWI84-zpYbdNMdK7zy3A_6CduaHvMwNLhb0IBQeqVEBTz709f
bOaA66IoN_QE1wA8zAmLRXvMnn90skG62vZu8BNMZdDdcYHOHJrt2ac14bE6J-egRBTmdfPf4dwc5-XhW1b91XEfBsee3WDC-8KjS5QlS4ycqQ
zh96ml3oIMFA`,
	"PS512": `
L1YAs_SlhTRKfBMpgJigZjsqf6pQqWjrg2-doEb-St-wfTwp_i0R5CJ3xFLWP-37hFvvMRBKirqRVLN_kMoFbxE92fAZI5ng38Pa9tOD07tPJP
2rj0VkHH54gPL5UxtAIAa3OjHn-iQvjxzGX8MX7IJWr6A7vF9yQ8GpPqji2znlCJevrkEIkJbD_h7BJDBYnC5EGqH21viG8yVV_zzV_ZTWbI54
_lzs6eqKK4aEcCMLgLdZjnZjSUtYMQkquA7MflzXVuvtolSG-S1YEH4TUbBMGeX_wb5CFdP-F705k09OKoODAy0NPmVLq2r8xc4g-icPkNcxkP
sgmuMTi-FUng`,
	"ES256": `
RcgKid6ls0EHVeWyNTUkkqMW1pCtZqqUkq0OyISUrK9tQFHh1XksnTCmEsllVeNPVLYF3G9BHJQqmf53p4QMPA`,
	"ES384": `
wsAiTxXiI2P6QirTmMRdmZskRW-OGRw4anGIrvu0OhDPxmdpSJF5qmZI1_SdkxmADXc8qqdRROimJiOO_NzcjPUFLGOSWHDfP4DvHtG_K3Ac-x
lzbqDqYfPKDypQnqJw`,
	"ES512": `
AGjnHUwGhR-czoHGwBT3T7IJ4_u0ZoPa39qrCgdh2xm6i2B4XKsztzG7ym95lE5f0Kw7KV7WeeaPliNW08tR3BqcALIAyWXBVsFov4ix-btAEZ
92RgMyIS3r39uzgY1w0tMlxqXz5kq6eH2ktyKtyPWVupXAJ2Mz_ryedAzeoyOsHIf8`,
	"EdDSA": `
lkWqZfCH4DpwG42VZn5McAJHXc3vf6sKiBPKHni55IEuTIGUbobycw1PdXer80FJgrNCZK5X_EcciXCQ_mn_Dg`,
	"Ed25519": `
b1X2S6IO8reb1F7Sz0lT_JJQMGHQNS65iuRrRvoOeYDCuX8UU2b7POBhxIclif3k4gLJHsZjI7chM7EGUtwkCQ`,
}
