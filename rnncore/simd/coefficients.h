/* Polynomials of activations.h, constant term first.
   Written by tools/fit_activations.py: change that, not this. */
#define TANH_SPLIT ((real)0.625)

#ifdef RNN_DOUBLE /* float64 */
/* largest relative error 3.6e-18 before rounding */
static const real EXP_TAIL[10] = {
    (real)0.50000000000000106162,
    (real)0.1666666666666641278,
    (real)0.0416666666665302704,
    (real)0.0083333333334943356517,
    (real)0.0013888888943596523282,
    (real)0.00019841269506766768615,
    (real)0.000024801493137360146952,
    (real)2.7557586280919827894e-6,
    (real)2.7630233526297367532e-7,
    (real)2.5000067424147292226e-8,
};
/* largest relative error 1.0e-17 before rounding */
static const real TANH_TAIL[11] = {
    (real)-0.33333333333332855278,
    (real)0.13333333333262093266,
    (real)-0.05396825393126857177,
    (real)0.0218694875761129409,
    (real)-0.0088632210028502331254,
    (real)0.0035919891754443208355,
    (real)-0.0014549588857365153476,
    (real)0.00058631656397984097864,
    (real)-0.00022856425578519351348,
    (real)0.000077144414149485053529,
    (real)-0.000016072591390779755802,
};
/* largest relative error 1.3e-18 before rounding */
static const real LOG1P_TAIL[10] = {
    (real)0.66666666666666309691,
    (real)0.40000000000155114561,
    (real)0.28571428548118557712,
    (real)0.22222223953598843025,
    (real)0.18181744481049464876,
    (real)0.1538654834649330734,
    (real)0.13301122019138549769,
    (real)0.12104939690836742184,
    (real)0.083449945676209312652,
    (real)0.17009713829115114123,
};

#else /* float32 */
/* largest relative error 3.1e-9 before rounding */
static const real EXP_TAIL[5] = {
    (real)0.49999993451845584598,
    (real)0.16666520686842742937,
    (real)0.0416683873078395901,
    (real)0.0083687101013641330794,
    (real)0.0013814617029330658423,
};
/* largest relative error 4.4e-9 before rounding */
static const real TANH_TAIL[5] = {
    (real)-0.33333281941426822094,
    (real)0.1333144218720354357,
    (real)-0.053739714319511641284,
    (real)0.020639084945597004448,
    (real)-0.0057049845309625039744,
};
/* largest relative error 4.5e-9 before rounding */
static const real LOG1P_TAIL[4] = {
    (real)0.66666416288781572584,
    (real)0.40021527175099907651,
    (real)0.28001805339248348862,
    (real)0.28011989283114923751,
};
#endif
